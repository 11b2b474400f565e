# SPDX-License-Identifier: Apache-2.0
"""Workers that outlive a request keep nothing of it, whoever wrote their pool, and its trace is whole."""

import asyncio
import functools
import http.client
import importlib.machinery
import importlib.util
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from osprofiler import opentracing_compat, profiler
from osprofiler.concurrency import isolation
from osprofiler.context import scope
from osprofiler.instrumentation import registry
from tests.unit.core_kit import Caught, a_clean_process, caught_records
from tests.waiting import wait_until

KEY = "a key"

INSTRUMENTED = [(), ("threading",), ("asyncio",), ("futures",), ("asyncio", "futures", "threading")]


@pytest.fixture(params=INSTRUMENTED, ids=lambda names: "+".join(names) or "nothing")
def records(request: pytest.FixtureRequest) -> Iterator[Caught]:
    """What is recorded with isolation and some instrumentation on."""
    with a_clean_process(), caught_records() as caught:
        isolation.install()
        registry.instrument(*request.param)
        yield caught
        registry.uninstrument()
        isolation.uninstall()


def point(name: str) -> int:
    """Open and close a trace point in whatever thread; returns the thread's ident."""
    with profiler.Trace(name):
        return threading.get_ident()


def open_points(records: Caught) -> list[str]:
    return [path for path in records.paths() if path.endswith("!")]


# AnyIO, on asyncio and on trio


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "trio":
        pytest.importorskip("trio")
        from trio._core import _thread_cache

        # Its workers are the process's: here none is left from an earlier test.
        monkeypatch.setattr(_thread_cache, "THREAD_CACHE", _thread_cache.ThreadCache())
    return str(request.param)


async def requested(name: str, *, traced: bool = True) -> int:
    """A request that hands work to a thread; returns the thread's ident."""
    if traced:
        profiler.init(KEY)
    with profiler.Trace(name):
        ident = await anyio.to_thread.run_sync(point, f"{name}'s work")
    profiler.clean()
    return ident


def test_anyio_s_worker_works_for_its_callers(records: Caught, backend: str) -> None:
    async def main() -> None:
        idents = {await requested("first"), await requested("untraced", traced=False), await requested("last")}
        assert len(idents) == 1, "not one worker for all"

    anyio.run(main, backend=backend)
    assert records.paths() == ["first", "first/first's work", "last", "last/last's work"]


def test_anyio_s_worker_works_for_others_while_its_first_caller_s_request_lasts(records: Caught, backend: str) -> None:
    async def main() -> None:
        waiting, done = anyio.Event(), anyio.Event()
        idents = set()

        async def long() -> None:
            profiler.init(KEY)
            with profiler.Trace("long"):
                idents.add(await anyio.to_thread.run_sync(point, "before"))
                waiting.set()
                await done.wait()
                idents.add(await anyio.to_thread.run_sync(point, "after"))

        async def meanwhile() -> None:
            await waiting.wait()
            idents.add(await requested("untraced", traced=False))
            idents.add(await requested("traced"))
            done.set()

        async with anyio.create_task_group() as group:
            group.start_soon(long)
            group.start_soon(meanwhile)
        assert len(idents) == 1, "not one worker for all"

    anyio.run(main, backend=backend)
    assert records.paths() == ["long", "long/before", "traced", "traced/traced's work", "long/after"]


def test_a_thread_of_anyio_calls_back_into_the_loop(records: Caught) -> None:
    async def in_loop(name: str) -> None:
        with profiler.Trace(name):
            await anyio.lowlevel.checkpoint()

    def in_thread() -> None:
        with profiler.Trace("thread"):
            anyio.from_thread.run(in_loop, "coroutine")
            anyio.from_thread.run_sync(point, "function")

    async def main() -> None:
        profiler.init(KEY)
        with profiler.Trace("request"):
            await anyio.to_thread.run_sync(in_thread)
        profiler.clean()

    anyio.run(main)
    assert not open_points(records)
    for name in ("function", "coroutine"):  # with ``asyncio`` both are branches
        (path,) = [path for path in records.paths() if path.endswith(f"/{name}")]
        assert path.startswith("request/thread/")


# Starlette and FastAPI


class Traced:
    """An ASGI application whose requests are traced if they ask for it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/untraced"):
            await self.app(scope, receive, send)
            return
        profiler.init(KEY)
        with profiler.Trace("request"):
            await self.app(scope, receive, send)


def blocking(kind: str) -> dict[str, int]:
    return {"thread": point(f"{kind} work")}


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def in_thread(request: Request) -> JSONResponse:
        return JSONResponse(blocking(request.path_params["kind"]))

    async def in_loop(request: Request) -> JSONResponse:
        return JSONResponse(await anyio.to_thread.run_sync(blocking, request.path_params["kind"]))

    return Starlette(routes=[Route("/def/{kind}", in_thread), Route("/async/{kind}", in_loop)])


def fastapi_app() -> Any:
    import fastapi

    app = fastapi.FastAPI()

    @app.get("/def/{kind}")
    def in_thread(kind: str) -> dict[str, int]:
        return blocking(kind)

    @app.get("/async/{kind}")
    async def in_loop(kind: str) -> dict[str, int]:
        return await anyio.to_thread.run_sync(blocking, kind)

    return app


@pytest.mark.parametrize("handler", ["def", "async"])
@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
def test_asgi_handlers_in_threads(records: Caught, make: Callable[[], Any], handler: str) -> None:
    import httpx

    async def main() -> None:
        transport = httpx.ASGITransport(Traced(make()))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:

            async def get(kind: str) -> int:
                # A server runs each request in a task of its own.
                answer = await asyncio.get_running_loop().create_task(client.get(f"/{handler}/{kind}"))
                return int(answer.raise_for_status().json()["thread"])

            assert len({await get(kind) for kind in ("first", "untraced", "last")}) == 1
            await asyncio.gather(*(get(kind) for kind in ("untraced", "many", "untraced", "many")))

    asyncio.run(main())
    wanted = ["request", "request/first work", "request", "request/last work"]
    assert records.paths()[:4] == wanted
    assert sorted(records.paths()[4:]) == ["request", "request", "request/many work", "request/many work"]


# Threads of WSGI servers


def untidy(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """An application that leaves its trace on, and a point open."""
    kind = environ["PATH_INFO"].strip("/")
    if kind != "untraced":
        profiler.init(KEY)
        profiler.start(kind)
    ident = point(f"{kind} work")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(ident).encode()]


@contextmanager
def waitress_server() -> Iterator[int]:
    from waitress.server import create_server

    server = create_server(untidy, host="127.0.0.1", port=0, threads=1)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        server.trigger.pull_trigger(server.close)  # in its own thread, which then ends
        thread.join()
        server.task_dispatcher.shutdown()


@contextmanager
def cheroot_server() -> Iterator[int]:
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", 0), untidy, numthreads=1)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield int(server.bind_addr[1])
    finally:
        server.stop()
        thread.join()


@pytest.mark.parametrize("serve", [waitress_server, cheroot_server], ids=lambda serve: serve.__name__)
def test_wsgi_workers(records: Caught, serve: Callable[[], Any]) -> None:
    pytest.importorskip(serve.__name__.removesuffix("_server"))
    with serve() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def get(kind: str) -> bytes:
            connection.request("GET", f"/{kind}")
            return connection.getresponse().read()

        assert len({get(kind) for kind in ("first", "untraced", "last")}) == 1, "not one worker for all"
        connection.close()
    assert records.paths() == ["first!", "first/first work", "last!", "last/last work"]


# Pools of one's own


class Pool:
    """One worker, started by who needs it first."""

    def __init__(self, source: Callable[[], "queue.Queue[Any]"] = queue.Queue) -> None:
        self.queue = source()
        self.thread: threading.Thread | None = None
        self.idle = threading.Event()

    def run(self, *works: Callable[[], object]) -> None:
        """Run *works*; when this returns the worker waits at its queue."""
        for work in works:
            self.queue.put(work)
        if self.thread is None:
            self.thread = self.make_thread()
            self.thread.start()
        self.queue.join()
        wait_until(lambda: self.queue.not_empty._waiters, what="the worker waits")  # type: ignore[attr-defined]

    def make_thread(self) -> threading.Thread:
        return threading.Thread(target=self.loop)

    def loop(self) -> None:
        while (work := self.queue.get()) is not None:
            work()
            self.queue.task_done()

    def stop(self) -> None:
        assert self.thread is not None
        self.queue.put(None)
        self.thread.join()


class SubclassPool(Pool):
    def make_thread(self) -> threading.Thread:
        pool = self

        class Worker(threading.Thread):
            def run(self) -> None:
                pool.loop()

        return Worker()


class LifoPool(Pool):
    """Its queue's ``get`` is not the library's own."""

    class Queue(queue.LifoQueue[Any]):
        def get(self, *args: Any, **kwargs: Any) -> Any:
            return super().get(*args, **kwargs)

    def __init__(self) -> None:
        super().__init__(self.Queue)


@pytest.mark.parametrize("make", [Pool, SubclassPool, LifoPool])
def test_a_pool_of_one_s_own(records: Caught, make: Callable[[], Pool]) -> None:
    pool = make()
    profiler.init(KEY)
    with profiler.Trace("first"):
        pool.run(functools.partial(point, "first work"))
        assert open_points(records) == ["first!"], "a branch is open while its worker waits"
        untraced(pool)  # somebody else, at the same time
        pool.run(functools.partial(point, "lost"))  # the worker is nobody's now
        pool.run(profiler.fork("fork").wrap(functools.partial(point, "wrapped")))
    profiler.clean()
    untraced(pool)
    profiler.init(KEY)
    with profiler.Trace("last"):
        pool.run(profiler.fork("fork").wrap(functools.partial(point, "last work")))
    profiler.clean()
    instrumented = registry.in_force()
    pool.stop()
    assert not open_points(records)
    paths = {path.rpartition("/")[2]: path for path in records.paths()}
    assert paths["wrapped"] == "first/fork/wrapped"
    assert paths["last work"] == "last/fork/last work"
    assert "untraced work" not in paths
    assert "lost" not in paths
    if "threading" in instrumented:
        assert paths["first work"].startswith(f"first/{__name__}.{make.__name__.removeprefix('Lifo')}.")
    else:
        assert "first work" not in paths


def untraced(pool: Pool) -> None:
    with scope.entered(None):
        pool.run(functools.partial(point, "untraced work"))


def test_works_of_others_that_wait_already(records: Caught) -> None:
    """The worker never waits between one request's work and another's."""
    pool = Pool()
    profiler.init(KEY)
    with profiler.Trace("first"):
        pool.queue.put(functools.partial(point, "first work"))
        pool.queue.put(functools.partial(untraced_put, pool.queue))
        pool.run(functools.partial(point, "second work"))
    profiler.clean()
    pool.stop()
    assert not open_points(records)
    assert not [path for path in records.paths() if "untraced" in path]


def untraced_put(source: "queue.Queue[Any]") -> None:
    with scope.entered(None):
        source.put(functools.partial(point, "untraced work"))


def test_consumers_inside_a_request_are_its_own() -> None:
    """Threads that share a request's work by a queue of the request's are in its trace to their end."""
    with a_clean_process(), caught_records() as records:
        opentracing_compat.instrument("threading")
        jobs: queue.Queue[Any] = queue.Queue()

        def consumer() -> None:
            while True:
                try:
                    name = jobs.get_nowait()
                except queue.Empty:
                    break
                point(name)
            point("tidy up")

        profiler.init(KEY)
        with profiler.Trace("request"):
            for number in range(4):
                jobs.put(f"job {number}")
            threads = [threading.Thread(target=consumer) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        profiler.clean()
        registry.uninstrument()
        paths = records.paths()
    branch = f"request/{__name__}.{consumer.__qualname__}"
    assert sorted(paths) == sorted(
        ["request", branch, branch, *(f"{branch}/job {number}" for number in range(4)), *[f"{branch}/tidy up"] * 2]
    )


def test_a_thread_that_waits_for_an_answer_stays_in_its_request() -> None:
    """A queue that a library waits at, for others to answer, is not where the thread takes its work from."""
    # The module's own name makes it another one than the thread's.
    client = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("a_client", None))
    exec("def call(answers):\n    return answers.get()", vars(client))
    answers: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        point(client.call(answers))

    with a_clean_process(), caught_records() as records:
        opentracing_compat.instrument("threading")
        profiler.init(KEY)
        with profiler.Trace("request"):
            thread = threading.Thread(target=ask)
            thread.start()
        profiler.clean()
        answers.put("answer")
        thread.join()
        registry.uninstrument()
        branch = f"request/{__name__}.{ask.__qualname__}"
        assert records.paths() == ["request", branch, f"{branch}/answer"]
