# SPDX-License-Identifier: Apache-2.0
"""Imports of our own modules inside functions: each has a reason. The linter checks their direction with all others."""

import ast
from collections.abc import Iterator
from pathlib import Path

import osprofiler
from osprofiler.testing import tables
from tests.conformance import architecture

ROOT = Path(osprofiler.__file__).parent

#: What is imported late: (the module that imports, what it imports) and why. A trailing dot stands for a whole room.
LATE = {
    ("tracer.global_tracer", "osprofiler.tracer.tracer"): "jaeger-client is loaded when tracing is first used",
    ("initializer", "osprofiler.tracer.rules"): "jaeger-client is loaded when tracing is first used",
    ("initializer", "osprofiler.steering.configured"): "only a service with a policy needs it",
    ("steering.sources", "osprofiler.steering.source_http"): "loads requests",
    ("steering.sources", "osprofiler.steering.source_redis"): "loads redis-py, which may not be installed",
    ("initializer", "osprofiler.delivery."): "delivery is loaded where a service turns tracing on",
    ("novaclient", "osprofiler.delivery."): "delivery is loaded where a service turns tracing on",
    ("notifier", "osprofiler.delivery."): "delivery is loaded where a service turns tracing on",
    ("_client_trace", "osprofiler.delivery."): "delivery is loaded where a script begins a trace",
    ("_client_trace", "osprofiler.drivers.locate"): "only a script that names no store needs the default one",
    ("notifier", "osprofiler.drivers.connect"): "the exporters are loaded when a store or transport is named",
    ("concurrency.fork", "osprofiler.concurrency.multiprocessing"): "loads multiprocessing",
    ("concurrency.fork", "osprofiler.concurrency.carrier"): "only carriers to other processes need the formats",
    ("profiler", "osprofiler.concurrency.carrier"): "only carriers to other processes need the formats",
    ("handlers.http_server", "osprofiler.delivery.request_threads"): "only native threads of a green process",
    ("delivery.collector", "osprofiler._runtime.http_session"): "loads requests",
    ("tracer.sampling", "osprofiler._runtime.http_session"): "loads requests",
    ("drivers.elasticsearch_http", "osprofiler.drivers.http_client"): "loads requests",
    ("drivers.jaeger_query", "osprofiler.drivers.http_client"): "loads requests",
    ("drivers.loginsight_client", "osprofiler.drivers.http_client"): "loads requests",
    ("delivery.otlp", "osprofiler.delivery.otlp_spans"): "loads protobuf",
    ("drivers.otlp", "osprofiler.delivery.otlp"): "loads protobuf",
    ("drivers.span_store", "osprofiler.drivers.connect"): "who reads traces needs no exporter",
    ("drivers.span_store", "osprofiler.delivery.exporter"): "who reads traces needs no exporter",
    ("drivers.connect", "osprofiler.drivers.base"): "a transport that takes whole spans needs no driver",
    ("drivers.locate", "osprofiler.drivers.driver"): "a transport that takes whole spans needs no driver",
    ("drivers.sqlalchemy_driver", "osprofiler.drivers.sql_engine"): "loads SQLAlchemy",
    ("drivers.sqlalchemy_driver", "osprofiler.drivers.sql_faults"): "loads SQLAlchemy",
    ("drivers.sqlalchemy_driver", "osprofiler.drivers.sql_indexes"): "loads SQLAlchemy",
    ("drivers.sqlalchemy_driver", "osprofiler.drivers.sql_search"): "loads SQLAlchemy",
    ("drivers.sqlalchemy_driver", "osprofiler.drivers.sql_services"): "loads SQLAlchemy",
    ("drivers.sqlalchemy_driver", "osprofiler.drivers.sql_url"): "loads SQLAlchemy",
    ("drivers.undeclared", "osprofiler.drivers.sql_faults"): "loads SQLAlchemy",
    ("reports.files", "osprofiler.records.jaeger_json"): "only files of Jaeger-JSON need it",
    ("cmd.sources", "osprofiler.opts"): "loads oslo.config",
    ("cmd.demo", "osprofiler."): "the demo is loaded when it is run",
    ("cmd.serve", "osprofiler.serve."): "only the command that serves needs it",
    ("cmd.doctor", "osprofiler.diagnosis."): "loads oslo.config",
    ("cmd.trace_parquet", "osprofiler.reports.views.parquet_files"): "loads pyarrow, which may not be installed",
}


def late_imports(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports inside functions."""
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "osprofiler":
                for name in node.names:
                    module = f"{node.module}.{name.name}"
                    yield module if is_module(module) else str(node.module)
            elif isinstance(node, ast.Import):
                yield from (name.name for name in node.names if name.name.partition(".")[0] == "osprofiler")


def fits(imported: str, pattern: str) -> bool:
    return imported == pattern or (pattern.endswith(".") and imported.startswith(pattern))


def is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_imports_inside_functions_have_a_reason() -> None:
    used = set()
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module.startswith(("testing.", "demo.")):
            continue
        for imported in late_imports(path):
            reasons = {key for key in LATE if key[0] == module and fits(imported, key[1])}
            assert reasons, f"{module} imports {imported} inside a function; name the reason here"
            used |= reasons
    assert set(LATE) == used, "no longer needed"


def test_the_map_in_the_documentation_is_current() -> None:
    """A change on purpose: ``python -m tests.conformance.architecture doc/source/architecture.rst``."""
    page = (architecture.ROOT / "doc" / "source" / "architecture.rst").read_text()
    assert tables.between_marks(page, architecture.NAME) == architecture.table()


def test_every_module_is_in_a_room_and_imports_go_down() -> None:
    """As the linter has it, which needs tools of its own."""
    placed = {name for names in architecture.rooms().values() for name in names}
    assert {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} == {
        "__init__", *placed,
    }  # fmt: skip
    order = list(architecture.rooms())
    up = {
        (room, other)
        for room, others in architecture.imports().items()
        for other in others
        if order.index(other) < order.index(room)
    }
    assert up == set()
