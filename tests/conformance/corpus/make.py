# SPDX-License-Identifier: Apache-2.0
"""Records what osprofiler writes: records, headers, envelopes, carriers, wires' bytes, reports; as JSON on stdout.

It runs against the osprofiler that is installed, through its public modules. Ids, clocks, host and process are fixed.

``corpus.json`` was made once, with the last commit before the modules were moved (fc46d2e) installed. The argument is
that commit's module of clocks, the only private name that is needed::

    python tests/conformance/corpus/make.py osprofiler._clocks > tests/conformance/corpus/corpus.json

It is not made anew. ``test_corpus.py`` replays it, and names each case whose rule has changed on purpose. A new case
is recorded, by the same command, with the code before the change that it guards. The lines of ``services.py`` are in
the stacks of recorded errors.
"""

from __future__ import annotations

import contextvars
import itertools
import json
import logging
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import edges

CLOCKS = "osprofiler._runtime.clocks"
#: Where the services' code seems to be: it is in the stacks of errors.
SERVICES = "/usr/lib/services.py"

Case = Callable[[], Any]


def cases(clock: edges.Clock, folder: Path) -> Iterator[tuple[str, Case]]:
    """Every case by its name."""
    services = _module_at("services", SERVICES)
    import reports
    import sinks
    import wires

    records, store = sinks.CallableSink(), sinks.store(folder)
    everywhere = {
        "records": records,
        "store": store,
        "thrift binary": sinks.http("jaeger+http"),
        "thrift compact": sinks.udp(),
        "otlp": sinks.http("otlp"),
    }
    for work in services.ALL:
        for name, sink in everywhere.items():
            by_rpc = work in (services.rpc, services.failing_rpc)
            if by_rpc and sink not in (records, store):
                continue  # which thread's span ends first is open
            if work is services.failing_rpc and sink is store:
                continue  # oslo.messaging's own frames are in the stack

            def traced(work: Any = work, sink: sinks.Sink = sink, by_rpc: bool = by_rpc) -> Any:
                sink.begin()
                work(clock)
                taken = sink.end()
                return sorted(taken, key=repr) if by_rpc else taken

            yield f"{work.__name__} as {name}", traced
    for work, form in itertools.product(services.SHOWN, reports.FORMS):

        def seen(work: Any = work, form: list[str] = form) -> list[str]:
            own = sinks.store(Path(tempfile.mkdtemp(dir=folder)))
            own.begin()
            work(clock)
            own.end()
            return reports.shown(form, own.connection_string, services.BASE, folder)

        yield f"{work.__name__} shown{' '.join(['', *form])}", seen
    yield from wires.cases(store, clock)
    yield from reports.cases(folder)


def _module_at(name: str, path: str) -> Any:
    """The sibling module *name*, as if it were in the file *path*."""
    source = Path(__file__).with_name(f"{name}.py").read_text("utf-8")
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, path, "exec"), vars(module))
    return module


def main(clocks_module: str) -> None:
    clock = edges.fix(clocks_module)
    logging.disable(logging.CRITICAL)
    corpus = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases(clock, Path(folder)):
            clock.begin()
            assert name not in corpus, name
            corpus[name] = contextvars.Context().run(case)
    print(",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in corpus.items()).join(("{\n", "\n}")))


if __name__ == "__main__":
    main(*(sys.argv[1:] or [CLOCKS]))
