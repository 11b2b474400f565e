# SPDX-License-Identifier: Apache-2.0
"""FastAPI calls aiohttp, which calls Flask, each with a database, in processes of their own: a request is one trace."""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stored_traces import Store, running, signed

PROGRAM = Path(__file__).parent / "programs" / "web_chain.py"


class Chain:
    """Three running services, and the store of their traces."""

    def __init__(self, port: int, store: Store, database: Path) -> None:
        self.store = store
        self._port = port
        self._database = database

    def ask(self, path: str, headers: dict[str, str]) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.read().decode().strip('"') == "done"

    def rows(self) -> int:
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            return int(database.execute("SELECT count(*) FROM orders").fetchone()[0])


@contextlib.contextmanager
def running_chain(folder: Path, *options: str) -> Iterator[Chain]:
    config, store, database = folder / "service.conf", Store(folder), folder / "orders.db"
    config.write_text(store.configuration("trace_requests = true", "trace_sqlalchemy = true", *options))
    with contextlib.closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE orders (number INTEGER)")
    with contextlib.ExitStack() as services:
        following: list[str] = []
        for framework in ("flask", "aiohttp", "fastapi"):
            arguments = (framework, str(config), str(database), *following)
            port = services.enter_context(running(PROGRAM, *arguments))
            following = [f"http://127.0.0.1:{port}"]
        yield Chain(port, store, database)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running_chain(tmp_path_factory.mktemp("chain"), "instrument = threading") as made:
        yield made


#: Service, operation, component and depth of each span, from the first to the last.
WANTED = [
    ("fastapi", "asgi GET", "asgi", 0),
    ("fastapi", "db INSERT", "sqlalchemy", 1),
    ("fastapi", "db COMMIT", "sqlalchemy", 1),
    ("fastapi", "http GET", "httpx", 1),
    ("aiohttp", "aiohttp GET", "aiohttp", 2),
    ("aiohttp", "db INSERT", "sqlalchemy", 3),
    ("aiohttp", "db COMMIT", "sqlalchemy", 3),
    ("aiohttp", "http GET", "aiohttp", 3),
    ("flask", "wsgi GET", "wsgi", 4),
    ("flask", "db INSERT", "sqlalchemy", 5),
    ("flask", "db COMMIT", "sqlalchemy", 5),
]
NAMES = ["asgi", "aiohttp", "wsgi", *["http"] * 2, *["db"] * 6]


@pytest.mark.parametrize("handler", ["orders", "plain"])
def test_a_request_through_all_of_them_is_one_trace(chain: Chain, handler: str) -> None:
    base_id, rows = str(uuid.uuid4()), chain.rows()
    chain.ask(f"/{handler}/7", signed(base_id))
    assert chain.rows() == rows + 3
    trace = chain.store.trace(base_id, NAMES)
    spans = [(span.service, span.operation, span.tags["component"], depth) for depth, span in trace.walk()]
    assert spans == WANTED
    servers = [span for _, span in trace.walk() if span.tags["span.kind"] == "server"]
    routes = [f"/{handler}/{{number}}", "/orders/{number}", "/orders/{number}"]
    assert [span.tags["http.route"] for span in servers] == routes
    assert [span.tags["http.status_code"] for span in servers] == [200] * 3
    assert not any(span.error or span.detached for span in trace.spans.values())


def test_a_request_that_did_not_ask_is_in_no_trace(chain: Chain) -> None:
    before, base_id = chain.store.base_ids(), str(uuid.uuid4())
    chain.ask("/orders/7", {})
    chain.ask("/orders/7", signed(base_id))
    chain.store.trace(base_id, NAMES)
    assert sorted(chain.store.base_ids()) == sorted([*before, base_id])


def test_the_first_service_decides_for_all(tmp_path: Path) -> None:
    """All of them have a sampler. A trace has all services; a "no" of the first one is not decided anew behind it."""
    with running_chain(tmp_path, "sampler = probabilistic:0.5") as chain:
        for _ in range(20):
            chain.ask("/orders/7", {})
    traces = chain.store.base_ids()  # the services have ended, so all is delivered
    assert 0 < len(traces) < 20  # chance fails this twice in a million runs
    for base_id in traces:
        chain.store.trace(base_id, NAMES)
