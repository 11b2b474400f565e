"""A released service with the points of its own profile: what is in place, and the span of one call. Prints JSON.

Arguments: the project; the module of something to call; its name there; its arguments, which may all be wrong.
"""

import contextlib
import importlib
import json
import logging
import sys

from oslo_config import cfg

from osprofiler import config, initializer, opts
from osprofiler._runtime import guard
from osprofiler.instrumentation.points.placing import placing
from osprofiler.testing import recording

project, module, name, *arguments = sys.argv[1:]


class Kept(logging.Handler):
    """Keeps what is logged of points."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


kept = Kept()
logging.getLogger("osprofiler").addHandler(kept)
conf = cfg.ConfigOpts()
opts.set_defaults(conf, enabled=True, hmac_keys="a key of the cloud", connection_string="sqlite:////dev/null")
conf([])
initializer.init_from_conf(conf, {}, project, "service", "host")
if project in ("nova", "cinder", "ironic"):
    importlib.import_module(f"{project}.objects").register_all()
for each in sorted({spec.module for spec in placing._specs}):
    importlib.import_module(each)
called = importlib.import_module(module)
config.fresh()  # a unit of work begins

with recording() as spans, contextlib.suppress(Exception):
    for attribute in name.split("."):
        called = getattr(called, attribute)
    called(*arguments)  # type: ignore[operator]

print(
    json.dumps(
        {
            "log": kept.lines,
            "faults": [each for each in guard.counters if each.startswith("fault.")],
            "placed": len(placing._placed),
            "operations": [span.operation for span in spans],
        }
    )
)
