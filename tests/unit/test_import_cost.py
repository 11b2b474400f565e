# SPDX-License-Identifier: Apache-2.0
"""The modules that an import of osprofiler loads: none that only tracing needs, and no unused library."""

import json
import subprocess
import sys

import pytest

TRACING = ["tornado", "thrift", "jaeger_client", "threadloop"]
LIBRARIES = [
    *(
        "sqlalchemy",
        "oslo_messaging",
        "eventlet",
        "gevent",
        "requests",
        "redis",
        "pymongo",
        "elasticsearch",
        "futurist",
    ),
]
SERVICE = ["oslo_config", "webob", "wrapt"]

PROGRAM = """
import json, sys
import {module}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def loaded_by(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("osprofiler", [*TRACING, *LIBRARIES, *SERVICE, "opentracing"]),
        ("osprofiler.profiler", [*TRACING, *LIBRARIES, *SERVICE]),
        ("osprofiler.notifier", [*TRACING, *LIBRARIES, *SERVICE]),
        ("osprofiler.web", [*TRACING, *LIBRARIES, "oslo_config"]),
        ("osprofiler.messaging", [*TRACING, *LIBRARIES]),
        ("osprofiler.sqlalchemy", [*TRACING, *LIBRARIES]),
        ("osprofiler.drivers.base", [*TRACING, *LIBRARIES]),
        ("osprofiler.opts", [*TRACING, *LIBRARIES]),
        ("osprofiler.exc", [*TRACING, *LIBRARIES, *SERVICE]),
        ("osprofiler.opentracing_compat", [*TRACING, *LIBRARIES, *SERVICE]),
        ("osprofiler.context.scope", [*TRACING, *LIBRARIES, *SERVICE]),
    ],
)
def test_importing_loads_only_what_it_needs(module: str, not_loaded: list[str]) -> None:
    assert sorted(loaded_by(module).intersection(not_loaded)) == []


def test_turning_tracing_on_loads_the_tracer() -> None:
    """Check the lists above: their names must exist."""
    program = PROGRAM.format(module="osprofiler.profiler").replace(
        "print(", "from osprofiler import profiler as p; p.init('k'); p.start('a'); p.stop(); print("
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert {"tornado", "thrift", "jaeger_client", "threadloop"} <= set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["exc", "notifier", "opts", "profiler", "sqlalchemy", "web"])
def test_what_osprofiler_4_loads_by_itself_is_there_all_the_same(module: str) -> None:
    program = f"""
import osprofiler.{module}

osprofiler.notifier.set(osprofiler.notifier.get())
assert osprofiler.profiler.get() is None
assert osprofiler.web.get_trace_id_headers() == {{}}
assert osprofiler.exc.CommandError
assert osprofiler.drivers.base.Driver is osprofiler.drivers.redis_driver.Redis.__base__
assert not hasattr(osprofiler, "nothing") and not hasattr(osprofiler.drivers, "nothing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
