# SPDX-License-Identifier: Apache-2.0
"""One store, with osprofiler 4.4.0 and this version: each reads the records of the other."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kombu
import pytest

from osprofiler.drivers.base import Driver
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.drivers.messaging import Messaging
from osprofiler.drivers.mongodb import MongoDB
from osprofiler.drivers.redis_driver import Redis
from osprofiler.testing.records import two_spans

PROGRAM = Path(__file__).parent / "programs" / "stock_store.py"
#: Without Sentinel: 4.4.0 gives redis-py a URL that redis-py 4 and later refuse.
STORES = ["redis", "ferretdb", "elasticsearch", "rabbit"]


@dataclass
class Store:
    """How both versions reach one store."""

    stock_python: Path
    driver: Callable[..., Driver]
    url: str
    options: dict[str, Any] = field(default_factory=dict)  # for either
    ours: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Driver:
        """Return our driver."""
        return self.driver(self.url, project="nova", service="new", **self.options, **self.ours)

    def stock(self, action: str, *rest: str, given: Any = None, **options: Any) -> Any:
        """Run a command of 4.4.0. Returns its output."""
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [str(self.stock_python), str(PROGRAM), self.url, json.dumps({**self.options, **options}), action, *rest],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=clean,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None


@pytest.fixture
def store(request: pytest.FixtureRequest, stock_python: Path) -> Iterator[Store]:
    name = request.param
    server = request.getfixturevalue(name)
    if name == "redis":
        yield Store(stock_python, Redis, server.fresh_url())
    elif name == "ferretdb":
        yield Store(stock_python, MongoDB, server.url, {"db_name": server.fresh_name()})
    elif name == "elasticsearch":
        yield Store(stock_python, ElasticsearchDriver, server.url, {"index_name": server.fresh_name()})
    else:
        with kombu.Connection(server.url.replace("rabbit:", "amqp:")) as connection:
            connection.channel().queue_delete("profiler.info")
        yield Store(stock_python, Messaging, "messaging://?plain=yes", {"transport_url": server.url})


def shape(children: list[dict[str, Any]]) -> list[Any]:
    """The common parts of both reports of a tree of spans: without the names, because 4.4.0 cuts them."""
    return [
        (
            node["trace_id"],
            node["parent_id"],
            *(node["info"].get(key) for key in ("project", "service", "host", "started", "finished", "exception")),
            shape(node["children"]),
        )
        for node in children
    ]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_ours_reads_what_stock_wrote(store: Store) -> None:
    base_id = str(uuid.uuid4())
    store.stock("write", given=two_spans(base_id))
    records = store.open().read(base_id)
    labels = {"project": "nova", "service": "old"}
    assert sorted(records, key=lambda each: each["timestamp"]) == [{**each, **labels} for each in two_spans(base_id)]
    assert [trace["base_id"] for trace in store.open().list_traces()].count(base_id) == 1


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_stock_reads_what_ours_wrote(store: Store) -> None:
    base_id = str(uuid.uuid4())
    driver = store.open()
    written = two_spans(base_id)
    # The parts of our spans in Redis and other stores that 4.4.0 must skip.
    written[0]["info"]["osprofiler"] = {"operation": "neutron GET", "pid": 1}
    written[-1]["info"]["osprofiler"] = {"tags": {"http.method": "GET"}, "links": [["follows_from", "a", "b"]]}
    driver.write(written)
    ours = driver.get_report(base_id)
    stock = store.stock("read", base_id)
    assert shape(stock["children"]) == shape(ours["children"])
    assert stock["info"]["finished"] == 1


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_both_write_one_trace(store: Store) -> None:
    base_id = str(uuid.uuid4())
    parent_start, child_start, child_stop, parent_stop = two_spans(base_id)
    store.stock("write", given=[parent_start, parent_stop])
    store.open().write([child_start, child_stop])
    report = store.open().get_report(base_id)
    (parent,) = report["children"]
    (child,) = parent["children"]
    assert (parent["info"]["service"], child["info"]["service"]) == ("old", "new")
    assert shape(store.stock("read", base_id)["children"]) == shape(report["children"])


# 4.4.0 cannot write this list with a new pymongo, cannot read it from Elasticsearch, and has none for messaging.
@pytest.mark.parametrize("store", ["redis"], indirect=True)
def test_the_list_of_failed_traces_is_one(store: Store) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    store.stock("write", given=two_spans(first), filter_error_trace=True)
    driver = store.open()
    driver.filter_error_trace = True
    driver.write(two_spans(second))
    assert {trace["base_id"] for trace in driver.list_error_traces()} >= {first, second}
    assert {trace["base_id"] for trace in store.stock("errors")} >= {first, second}


@pytest.mark.parametrize("store", ["elasticsearch"], indirect=True)
def test_failed_traces_of_stock_are_listed(store: Store) -> None:
    listed, unlisted = str(uuid.uuid4()), str(uuid.uuid4())
    store.stock("write", given=two_spans(listed), filter_error_trace=True)
    store.stock("write", given=two_spans(unlisted))
    assert {trace["base_id"] for trace in store.open().list_error_traces()} >= {listed, unlisted}
