# SPDX-License-Identifier: Apache-2.0
"""What stands in for somebody else's function takes any keyword argument that the function itself would take."""

import ast
import asyncio
import concurrent.futures
import functools
import json
import multiprocessing
import multiprocessing.pool
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import osprofiler
from osprofiler import novaclient, opentracing_compat, profiler
from osprofiler.concurrency import isolation
from osprofiler.concurrency import multiprocessing as multiprocessing_model
from osprofiler.instrumentation import registry
from osprofiler.nova import Cells, handed_over
from tests.unit.span_kit import Recorder, spans  # noqa: F401 (a fixture)

PACKAGE = Path(osprofiler.__path__[0])
PROGRAM = Path(__file__).parent / "programs" / "stand_ins.py"
STOCK = Path(__file__).parent.parent / "conformance" / "public_names.json"

#: Functions whose own names keyword arguments may not have, by file and name, and why.
ALLOWED = {
    (
        "_runtime/http_session.py",
        "_Adapter.proxy_manager_for",
    ): "overrides a method of requests, whose parameters these are",
    ("_runtime/http_session.py", "Session.send"): "overrides a method of requests, whose parameters these are",
    (
        "instrumentation/messaging.py",
        "_Transport._send",
    ): "stands for a method of oslo.messaging, whose parameters these are",
    ("instrumentation/lockutils.py", "_FileLock.acquire"): "stands for a method of fasteners, whose parameter this is",
    ("instrumentation/messaging.py", "sent"): "stands for a method of oslo.messaging, whose parameters these are",
    ("instrumentation/messaging.py", "notified"): "stands for a method of oslo.messaging, whose parameters these are",
    ("instrumentation/requests.py", "send"): "osprofiler 4.4.0's signature",
    ("instrumentation/wsgi.py", "WsgiMiddleware.factory"): "PasteDeploy's signature",
    ("nova.py", "init_from_conf"): "the signature of initializer.init_from_conf",
    ("drivers/connect.py", "reporter_for"): "arguments of a driver",
    ("config/table.py", "_switch"): "fields of a row",
    ("testing/records.py", "record"): "fields of a record",
    ("testing/records.py", "span"): "fields of a record",
}


def with_keywords() -> Iterator[tuple[str, str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(file, qualified name, definition) of each function of the package that uses the keyword arguments it gathers."""

    def inside(node: ast.AST, qualname: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            name = qualname
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{qualname}.{child.name}".lstrip(".")
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and child.args.kwarg is not None:
                gathered = child.args.kwarg.arg
                if any(isinstance(used, ast.Name) and used.id == gathered for used in ast.walk(child)):
                    yield name, child
            yield from inside(child, name)

    for path in sorted(PACKAGE.rglob("*.py")):
        for name, function in inside(ast.parse(path.read_text()), ""):
            yield str(path.relative_to(PACKAGE)), name, function


@functools.cache
def stand_ins() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM)], capture_output=True, text=True, check=True, timeout=120
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_no_own_parameter_is_in_the_way_of_a_keyword_argument() -> None:
    """A function that hands keyword arguments on takes its own arguments by position only. One that replaces a
    library's function has that one's parameters instead, which the next test sees to. What 4.4.0 has, and every driver,
    keeps 4.4.0's signature.
    """
    replacing = {(row["file"], row["line"]) for row in stand_ins()}
    public = {
        (module.removeprefix("osprofiler.").replace(".", "/") + ".py", f"{name}.{member}".removesuffix("."))
        for module, names in json.loads(STOCK.read_text())["modules"].items()
        for name, entry in names.items()
        for member in ("", *entry.get("members", ()))
    }
    in_the_way = {}
    for file, name, function in with_keywords():
        own = [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]
        if (file, function.lineno) in replacing:
            own = [each for each in own if each == "self"]
        if own and (file, name) not in public and not (name.endswith("__init__") and file.startswith("drivers/")):
            in_the_way[file, name] = own
    assert in_the_way.keys() == ALLOWED.keys(), in_the_way


def test_what_replaces_a_function_takes_the_arguments_that_it_takes() -> None:
    rows = stand_ins()
    assert sum(row["compared"] for row in rows) > 30
    assert {row["target"]: row["differences"] for row in rows if row["differences"]} == {}
    if sys.version_info < (3, 11):
        return  # there futurist has no release with all that is replaced
    # What no library of this environment has is made by a function that replaces another here.
    compared = {(row["file"], row["line"]) for row in rows if row["compared"]}
    # Those in nova's place are tried with nova itself.
    assert {(row["file"], row["line"]) for row in rows if row["file"] != "instrumentation/nova_work.py"} == compared


# Each way to hand work over

#: Names of ours, and of others, that a service's function may have as well.
NAMES = ("self", "args", "branch", "fn", "func", "function", "instance", "kwargs", "method", "work", "wrapped")
ALL: dict[str, Any] = dict.fromkeys(NAMES, 1)


def echo(**kwargs: Any) -> dict[str, Any]:
    with profiler.Trace("work"):
        return kwargs


async def echo_later(**kwargs: Any) -> dict[str, Any]:
    return echo(**kwargs)


def without(*names: str) -> dict[str, Any]:
    """All names but those that the library itself does not hand on."""
    return {name: value for name, value in ALL.items() if name not in names}


def in_pool() -> tuple[Any, Any]:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(echo, **ALL).result(), ALL


def in_futurist_s_pool() -> tuple[Any, Any]:
    import futurist

    kwargs = without("self", "fn")
    with futurist.ThreadPoolExecutor(1) as pool:
        return pool.submit(echo, **kwargs).result(), kwargs


def in_thread(make: Callable[..., threading.Thread]) -> tuple[Any, Any]:
    results: list[Any] = []
    thread = make(lambda **kwargs: results.append(echo(**kwargs)))
    thread.start()
    thread.join()
    return results[0], ALL


def in_to_thread() -> tuple[Any, Any]:
    async def main() -> Any:
        return await asyncio.to_thread(echo, **without("func"))

    return asyncio.run(main()), without("func")


def in_greenthread() -> tuple[Any, Any]:
    import eventlet

    kwargs = without("func")
    return eventlet.spawn(echo, **kwargs).wait(), kwargs


def in_tpool() -> tuple[Any, Any]:
    from eventlet import tpool

    try:
        return tpool.execute(echo, **ALL), ALL
    finally:
        tpool.killall()


def linked() -> tuple[Any, Any]:
    import eventlet

    kwargs = without("self", "func")
    results: list[Any] = []
    thread = eventlet.spawn(int)
    thread.link(lambda _, **kwargs: results.append(echo(**kwargs)), **kwargs)
    thread.wait()
    return results[0], kwargs


def in_process_pool() -> tuple[Any, Any]:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(echo, (), ALL), ALL


def in_futures_process() -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(echo, **ALL).result(), ALL


def in_process(fork: Any = None) -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def put(**kwargs: Any) -> None:
        results.put(echo(**kwargs))

    process = context.Process(target=put if fork is None else fork.wrap(put), kwargs=ALL)
    process.start()
    process.join()
    assert process.exitcode == 0
    return results.get(), ALL


def in_branch() -> tuple[Any, Any]:
    return profiler.fork("fork").wrap(echo)(**ALL), ALL


def in_coroutine() -> tuple[Any, Any]:
    return asyncio.run(profiler.fork("fork").wrap(echo_later)(**ALL)), ALL  # type: ignore[arg-type]


def in_nova() -> tuple[Any, Any]:
    return handed_over(echo)(**ALL), ALL


def in_nova_s_cells() -> tuple[Any, Any]:
    return Cells().work(SimpleNamespace(name="cell"), echo)(**ALL), ALL


def by_novaclient() -> tuple[Any, Any]:
    def send(url: str, method: str, /, **kwargs: Any) -> tuple[Any, Any]:
        kwargs.pop("headers")

        return SimpleNamespace(status_code=200, headers={}), echo(**kwargs)

    return novaclient.traced(send)("http://nova/servers", "GET", **ALL)[1], ALL


def decorated() -> tuple[Any, Any]:
    return profiler.trace("point")(echo)(**ALL), ALL


def by_class_decorator() -> tuple[Any, Any]:
    @profiler.trace_cls("point")
    class Service:
        def serve(this, /, **kwargs: Any) -> Any:
            return kwargs

    return Service().serve(**ALL), ALL


def isolated() -> tuple[Any, Any]:
    return isolation.isolated(echo)(**ALL), ALL


WAYS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "concurrent.futures": in_pool,
    "concurrent.futures, process": in_futures_process,
    "futurist": in_futurist_s_pool,
    "threading.Thread": lambda: in_thread(lambda f: threading.Thread(target=f, kwargs=ALL)),
    "threading.Timer": lambda: in_thread(lambda f: threading.Timer(0, f, kwargs=ALL)),
    "asyncio.to_thread": in_to_thread,
    "eventlet.spawn": in_greenthread,
    "eventlet GreenThread.link": linked,
    "eventlet.tpool": in_tpool,
    "multiprocessing.Pool": in_process_pool,
    "multiprocessing.Process": in_process,
    "multiprocessing.Process, by hand": lambda: in_process(profiler.fork("fork")),
    "fork.wrap": in_branch,
    "fork.wrap, coroutine": in_coroutine,
    "nova": in_nova,
    "nova, cells": in_nova_s_cells,
    "novaclient": by_novaclient,
    "trace": decorated,
    "trace_cls": by_class_decorator,
    "isolated": isolated,
}


@pytest.fixture
def instrumented(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    isolation.install()
    opentracing_compat.instrument(
        "asyncio", "eventlet", "futures", "futurist", "multiprocessing", "subprocess", "threading"
    )
    profiler.init("a key")
    yield spans
    multiprocessing_model.by_hand.uninstall()  # installed last, it lies on top of what else is installed
    registry.uninstrument()
    isolation.uninstall()
    profiler.clean()


@pytest.mark.parametrize("way", WAYS)
def test_keyword_arguments_reach_the_work(way: str, instrumented: Recorder) -> None:
    with profiler.Trace("request"):
        result, wanted = WAYS[way]()
    assert result == wanted
