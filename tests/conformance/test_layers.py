# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on every layer that no larger kit has, against the real thing, and on layers that are wrong."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar

import aiohttp
import aiohttp.web
import grpc._channel
import grpc._utilities
import grpc.aio
import oslo_messaging
import psycopg
import psycopg2
import pymysql
import pytest
import requests
import sqlalchemy
from dogpile.cache import make_region
from dogpile.cache.region import CacheRegion
from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_messaging.notify import dispatcher
from oslo_privsep import daemon as privsep_daemon
from sqlalchemy.ext.asyncio import create_async_engine

from osprofiler import profiler, web
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current, scope
from osprofiler.handlers import step
from osprofiler.handlers.call import Closing
from osprofiler.instrumentation import layers, registry
from osprofiler.testing.layers import Layer, LayerKit
from tests.conformance import test_commands, test_http_clients
from tests.conformance.kit_runs import failed
from tests.unit import privsep_kit
from tests.unit.grpc_kit import AsyncClient, Client, served, served_by_asyncio


class Ours:
    """A layer of ours, by the names of its libraries."""

    libraries: ClassVar[tuple[str, ...]]
    replaced: ClassVar[tuple[tuple[Any, str], ...]]  # class or module, and name

    def instrument(self) -> None:
        registry.instrument(*self.libraries)

    def uninstrument(self) -> None:
        registry.uninstrument(*self.libraries)

    def original(self) -> Any:
        return [vars(owner)[name] for owner, name in self.replaced]

    def close(self) -> None:
        pass


# SQL


class Engine(Ours):
    """SQLAlchemy, and its driver too: each statement is still one span."""

    libraries = ("sqlalchemy", "pymysql")
    replaced = (
        (sqlalchemy.engine.default.DefaultDialect, "do_execute"),
        (sqlalchemy.engine.Connection, "_commit_impl"),
    )
    operations = ("db INSERT", "db COMMIT")

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url)
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE things (id serial, password varchar(200))"))

    def call(self, text: str) -> None:
        self._insert("things", text)

    def fail(self, text: str) -> None:
        self._insert("nothing", text)

    def _insert(self, table: str, text: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                sqlalchemy.text(f"INSERT INTO {table} (password) VALUES (:password)"), {"password": text}
            )

    def close(self) -> None:
        self._engine.dispose()


class AsyncEngine(Ours):
    libraries = ("sqlalchemy", "psycopg")
    replaced = Engine.replaced
    operations = Engine.operations

    def __init__(self, url: str) -> None:
        self._url = url
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE things (id serial, password varchar(200))"))
        engine.dispose()

    async def call(self, text: str) -> None:
        await self._insert("things", text)

    async def fail(self, text: str) -> None:
        await self._insert("nothing", text)

    async def _insert(self, table: str, text: str) -> None:
        engine = create_async_engine(self._url)
        with scope.entered(None):
            async with engine.connect():
                pass
        statement = sqlalchemy.text(f"INSERT INTO {table} (password) VALUES (:password)")
        async with engine.begin() as connection:
            await connection.execute(statement, {"password": text})
        with scope.entered(None):
            await engine.dispose()


class Driver(Ours):
    """A driver without SQLAlchemy."""

    operations = ("db INSERT", "db COMMIT")
    mark = "%s"

    def __init__(self, url: str) -> None:
        self._url = sqlalchemy.make_url(url)
        with scope.entered(None):
            self._do("CREATE TABLE things (id integer, password varchar(200))")

    def connect(self) -> Any:
        raise NotImplementedError

    def call(self, text: str) -> None:
        self._do(f"INSERT INTO things (id, password) VALUES (1, {self.mark})", text)

    def fail(self, text: str) -> None:
        self._do(f"INSERT INTO nothing (id, password) VALUES (1, {self.mark})", text)

    def _do(self, statement: str, *parameters: str) -> None:
        connection = self.connect()
        try:
            connection.cursor().execute(statement, parameters)
            connection.commit()
        finally:
            connection.close()


class Sqlite(Driver):
    libraries = ("sqlite3",)
    mark = "?"

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp()
        super().__init__(f"sqlite:///{self._folder}/things.db")

    def connect(self) -> Any:
        return sqlite3.connect(str(self._url.database))

    def original(self) -> Any:
        return sqlite3.connect

    def close(self) -> None:
        shutil.rmtree(self._folder)


class Pymysql(Driver):
    libraries = ("pymysql",)
    replaced = ((pymysql.cursors.Cursor, "execute"), (pymysql.connections.Connection, "commit"))

    def connect(self) -> Any:
        url = self._url
        return pymysql.connect(
            host=url.host,
            port=url.port or 0,
            user=url.username,
            password=url.password or "",
            database=url.database,
        )


class Psycopg(Driver):
    libraries = ("psycopg",)
    replaced = ((psycopg.Cursor, "execute"), (psycopg.AsyncCursor, "execute"), (psycopg.Connection, "commit"))

    @property
    def conninfo(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=False)

    def connect(self) -> Any:
        return psycopg.connect(self.conninfo)


class AsyncPsycopg(Psycopg):
    async def call(self, text: str) -> None:
        await self._do_async("things", text)

    async def fail(self, text: str) -> None:
        await self._do_async("nothing", text)

    async def _do_async(self, table: str, text: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.conninfo) as connection:
            await connection.execute(f"INSERT INTO {table} (id, password) VALUES (1, %s)", [text])  # type: ignore[arg-type]
            await connection.commit()


class Psycopg2(Psycopg):
    libraries = ("psycopg2",)
    replaced = ((psycopg2, "connect"),)

    def connect(self) -> Any:
        return psycopg2.connect(self.conninfo)


# gRPC


class Grpc(Ours):
    """A client and a server; the text is the message, a header, and the details of an error."""

    libraries = ("grpc", "grpc_server")
    operations = ("grpc shop.Store/unary_unary",) * 2
    replaced = (
        (grpc._channel._UnaryUnaryMultiCallable, "__call__"),
        (grpc.aio._channel.UnaryUnaryMultiCallable, "__call__"),
        (grpc._utilities.DictionaryGenericHandler, "service"),
    )

    def __init__(self, make: Callable[[str], Any], serve: Callable[[], AbstractContextManager[str]]) -> None:
        self._stack = ExitStack()
        self._client = make(self._stack.enter_context(serve()))
        self._stack.callback(self._client.close)
        self.call("warm")

    def call(self, text: str) -> None:
        self._client.call("unary_unary", b"quiet " + text.encode(), metadata=(("authorization", repr(text)),))

    def fail(self, text: str) -> None:
        self._client.call("unary_unary", b"raise " + text.encode())

    def close(self) -> None:
        self._stack.close()


# oslo


class Notifications(Ours):
    """A notifier and a listener, over RabbitMQ."""

    libraries = ("notifications",)
    operations = ("notification kit",)
    replaced = (
        (oslo_messaging.Transport, "_send_notification"),
        (dispatcher.NotificationDispatcher, "dispatch"),
        (dispatcher.NotificationDispatcher, "_exec_callback"),
    )

    def __init__(self, url: str) -> None:
        self._transport = oslo_messaging.get_notification_transport(cfg.CONF, url=url)
        self._target = oslo_messaging.Target(topic="kit.info")

    def call(self, text: str) -> None:
        message = {"event_type": "kit", "priority": "INFO", "publisher_id": "p", "payload": {"password": text}}
        self._transport._send_notification(self._target, {"auth_token": text}, message, version=2.0)

    def fail(self, text: str) -> None:
        nowhere = oslo_messaging.Target()
        message = {"event_type": "kit", "payload": text}
        self._transport._send_notification(nowhere, {"auth_token": text}, message, version=2.0)

    def close(self) -> None:
        self._transport.cleanup()


class Dogpile(Ours):
    libraries = ("dogpile",)
    operations = ("dogpile.cache create", "dogpile.cache get_or_create")
    replaced = ((CacheRegion, "get_or_create"), (CacheRegion, "get_or_create_multi"))

    def __init__(self) -> None:
        self._region = make_region("kit").configure("dogpile.cache.memory")

    def call(self, text: str) -> None:
        self._region.get_or_create(text, lambda: text)
        self._region.delete(text)

    def fail(self, text: str) -> None:
        def create() -> Any:
            return {}[text]

        self._region.get_or_create(text, create)


class Locks(Ours):
    """A lock that another thread has until this one waits for it."""

    libraries = ("lockutils",)
    operations = ("lock wait",)
    replaced = tuple((lockutils, name) for name in ("internal_lock", "internal_fair_lock", "external_lock"))

    def call(self, text: str) -> None:
        lock = lockutils.internal_lock("kit")
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            with lockutils.internal_lock("kit"):
                held.set()
                assert free.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(60)
        threading.Timer(0.01, free.set).start()
        with lock:
            thread.join()

    def fail(self, text: str) -> None:
        class Broken(threading.Semaphore):
            def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
                if blocking:
                    raise LookupError(text)
                return False

        class Semaphores(lockutils.Semaphores):
            def get(self, name: str) -> Any:
                return Broken()

        with lockutils.internal_lock("kit", semaphores=Semaphores()):
            pass


class Privsep(Ours):
    """A function that the privileged daemon runs, in a process of its own."""

    libraries = ("oslo_privsep",)
    operations = ("privsep tests.unit.privsep_kit.process_id",)
    replaced = ((privsep_daemon._ClientChannel, "remote_call"),)

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stack.enter_context(privsep_kit.running())

    def call(self, text: str) -> None:
        privsep_kit.process_id(text)

    def fail(self, text: str) -> None:
        privsep_kit.refuse(text)

    def close(self) -> None:
        self._stack.close()


# Web servers


class AiohttpServer(Ours):
    """aiohttp's server; its caller sends the headers of the trace, as every service does."""

    libraries = ("aiohttp_server",)
    operations = ("aiohttp GET",)
    replaced = ((aiohttp.web.RequestHandler, "_handle_request"),)

    async def call(self, text: str) -> None:
        assert await self._ask("/ok", text) == 200

    async def fail(self, text: str) -> None:
        if await self._ask("/fail", text) == 500:
            raise requests.HTTPError(text)

    async def _ask(self, path: str, text: str) -> int:
        async def ok(request: aiohttp.web.Request) -> aiohttp.web.Response:
            return aiohttp.web.Response(text=text)

        async def fail(request: aiohttp.web.Request) -> aiohttp.web.Response:
            raise LookupError

        app = aiohttp.web.Application()
        app.add_routes([aiohttp.web.get("/ok", ok), aiohttp.web.get("/fail", fail)])
        runner = aiohttp.web.AppRunner(app)
        headers = {**web.get_trace_id_headers(), "X-Auth-Token": repr(text)}
        with scope.entered(None):
            await runner.setup()
            site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            address = runner.addresses[0]
            async with (
                aiohttp.ClientSession() as session,
                session.get(
                    f"http://{address[0]}:{address[1]}{path}", params={"token": text}, headers=headers
                ) as answer,
            ):
                await answer.read()
            await runner.cleanup()
        return answer.status


MAKERS: dict[str, Callable[[pytest.FixtureRequest], Ours]] = {
    "aiohttp_server": lambda request: AiohttpServer(),
    "dogpile": lambda request: Dogpile(),
    "grpc": lambda request: Grpc(Client, served),
    "grpc aio": lambda request: Grpc(AsyncClient, served_by_asyncio),
    "lockutils": lambda request: Locks(),
    "notifications": lambda request: Notifications(request.getfixturevalue("rabbit").url),
    "oslo_privsep": lambda request: Privsep(),
    "psycopg": lambda request: Psycopg(request.getfixturevalue("postgres").fresh_url()),
    "psycopg aio": lambda request: AsyncPsycopg(request.getfixturevalue("postgres").fresh_url()),
    "psycopg2": lambda request: Psycopg2(request.getfixturevalue("postgres").fresh_url()),
    "pymysql": lambda request: Pymysql(request.getfixturevalue("mariadb").fresh_url()),
    "sqlalchemy": lambda request: Engine(request.getfixturevalue("mariadb").fresh_url()),
    "sqlalchemy aio": lambda request: AsyncEngine(request.getfixturevalue("postgres").fresh_url()),
    "sqlite3": lambda request: Sqlite(),
}


class TestLayers(LayerKit):
    @pytest.fixture(params=MAKERS)
    def layer(self, request: pytest.FixtureRequest) -> Iterator[Layer]:
        layer: Any = MAKERS[request.param](request)
        yield layer
        layer.close()


def test_every_layer_is_in_a_kit() -> None:
    in_this = {library for cls in Ours.__subclasses__() for library in getattr(cls, "libraries", ())}
    in_this |= {library for cls in Driver.__subclasses__() for library in cls.libraries} | {*Psycopg2.libraries}
    commands = {cls.library for cls in test_commands.Layer.__subclasses__()}
    requests = {cls.name for cls in test_http_clients.Library.__subclasses__()}
    only_routes = {"falcon", "flask", "pecan"}  # no spans of their own: tests/unit/test_routes.py
    assert in_this | commands | requests | only_routes >= layers.SWITCHES.keys()


# What is wrong on purpose


class Shop:
    """A library."""

    def sell(self, what: str) -> str:
        if what.startswith("bad "):
            raise LookupError("sold out")
        return what


_SELL = Shop.sell


def _traced(operation: Callable[[str], str] = lambda what: "shop sell") -> Callable[[Method], Method]:
    def wrap(original: Method) -> Method:
        def sell(self: Any, what: str) -> str:
            here = current.sampled()
            if here is None:
                return str(original(self, what))
            with Closing(step.open_point(here, "shop", operation(what), {"component": "shop"})):
                return str(original(self, what))

        return sell

    return wrap


class Right:
    """That library with right instrumentation."""

    operations = ("shop sell",)
    wrapping = Wrapping(Target(__name__, "Shop", "sell", _traced()))

    def instrument(self) -> None:
        self.wrapping.install()

    def uninstrument(self) -> None:
        self.wrapping.uninstall()

    def original(self) -> Any:
        return Shop.sell

    def call(self, text: str) -> Any:
        return Shop().sell(text)

    def fail(self, text: str) -> Any:
        return Shop().sell(f"bad {text}")


class Async(Right):
    """Its calls are awaited."""

    async def call(self, text: str) -> Any:
        return super().call(text)

    async def fail(self, text: str) -> Any:
        return super().fail(text)


class Untraced(Right):
    def instrument(self) -> None:
        pass


class Shows(Right):
    """What is sold is in the operation."""

    wrapping = Wrapping(Target(__name__, "Shop", "sell", _traced(lambda what: f"shop sell {what}")))


class Careless(Right):
    """It always traces, also twice, leaves its point open, and is never turned off."""

    def instrument(self) -> None:
        original = Shop.sell

        def sell(self: Any, what: str) -> str:
            profiler.init("key")
            profiler.start("shop")
            return original(self, what)

        Shop.sell = sell  # type: ignore[method-assign]


WRONG: list[tuple[type[Right], str]] = [
    (Untraced, "test_a_call_is_its_spans"),
    (Shows, "test_a_call_is_its_spans"),
    (Careless, "test_a_call_that_fails_is_an_error"),
    (Shows, "test_no_secret_is_shown"),
    (Careless, "test_the_current_point_is_as_before"),
    (Careless, "test_without_a_sampled_trace_it_only_calls"),
    (Untraced, "test_uninstrumented_it_is_the_library_s_own"),
]


@pytest.mark.parametrize(("wrong", "caught_by"), WRONG)
def test_the_kit_finds_what_is_wrong(wrong: type[Right], caught_by: str, pytester: pytest.Pytester) -> None:
    try:
        assert failed(pytester, LayerKit, "layer", f"{__name__}:{wrong.__name__}()", caught_by)
    finally:
        wrong.wrapping.uninstall()
        Shop.sell = _SELL  # type: ignore[method-assign]


@pytest.mark.parametrize("right", [Right, Async])
def test_the_kit_passes_what_is_right(right: type[Right], pytester: pytest.Pytester) -> None:
    assert failed(pytester, LayerKit, "layer", f"{__name__}:{right.__name__}()") == 0


def test_every_test_of_the_kit_has_wrong_instrumentation() -> None:
    assert {name for name in vars(LayerKit) if name.startswith("test_")} == {name for _, name in WRONG}
