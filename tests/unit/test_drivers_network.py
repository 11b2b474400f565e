# SPDX-License-Identifier: Apache-2.0
"""The module that the drivers of network stores share."""

import os
import subprocess
import sys
from typing import Any

import pytest

from osprofiler._runtime import inherited
from osprofiler.connection import strings
from osprofiler.drivers import locate, network
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.mongodb import MongoDB
from osprofiler.drivers.redis_driver import Redis
from osprofiler.testing.records import two_spans


def test_options_of_ours_are_taken_out_and_others_stay_as_written() -> None:
    text = "redis://h/0?a=%20b&ttl=7d&ssl_ca_certs=/x%26y&empty"
    assert strings.take_options(text, ("ttl", "none")) == (
        "redis://h/0?a=%20b&ssl_ca_certs=/x%26y&empty",
        {"ttl": "7d"},
    )
    assert strings.take_options("redis://h?ttl=1%302", ("ttl",)) == ("redis://h", {"ttl": "102"})
    assert strings.take_options("redis://h", ("ttl",)) == ("redis://h", {})


@pytest.mark.parametrize(
    ("text", "expected"), [("3600", 3600), ("45s", 45), ("90m", 5400), ("12h", 43200), ("7d", 604800)]
)
def test_spans_of_time(text: str, expected: int) -> None:
    assert strings.seconds({"ttl": text}, "ttl") == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5h", "soon", "1w", "\u0661", " 1", "9" * 30])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="ttl="):
        strings.seconds({"ttl": text}, "ttl")


def test_what_is_not_given() -> None:
    assert strings.seconds({}, "ttl") is None
    assert strings.switch({}, "verify", True) is True


@pytest.mark.parametrize(
    ("text", "expected"), [("yes", True), ("TRUE", True), ("1", True), ("off", False), ("0", False)]
)
def test_switches(text: str, expected: bool) -> None:
    assert strings.switch({"verify": text}, "verify") is expected


def test_what_is_no_switch() -> None:
    with pytest.raises(ValueError, match="verify=perhaps"):
        strings.switch({"verify": "perhaps"}, "verify")


@pytest.mark.parametrize("text", ["redis://", "redis://:my-secret@", "redis://:my-secret@h:x", "redis://[::1"])
def test_what_names_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        strings.split(text, 1)
    assert "my-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("redis://", ("localhost", 6379, 0, None)),
        ("rediss://", ("localhost", 6379, 0, None)),
        ("redis:///3", ("localhost", 6379, 3, None)),
        ("redis://:pw@", ("localhost", 6379, 0, "pw")),
        ("redis://:6380", ("localhost", 6380, 0, None)),
        ("redis://:pw@:6380/2?ttl=7d", ("localhost", 6380, 2, "pw")),
        ("redis://h", ("h", 6379, 0, None)),
    ],
)
def test_redis_without_a_host_is_this_one_as_in_4_4_0(text: str, place: tuple[Any, ...]) -> None:
    connection = Redis(text).db.connection_pool.make_connection()
    assert (connection.host, connection.port, connection.db, connection.password) == place


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("mongodb://h", {("h", 27017)}),
        ("mongodb://h:27018/", {("h", 27018)}),
        ("mongodb://h,[::1]:27018/db?ttl=7d", {("h", 27017), ("::1", 27018)}),
        ("mongodb://osp:pw@h/db", {("h", 27017)}),
    ],
)
def test_mongodb_is_where_it_is_in_4_4_0(text: str, places: set[tuple[str, int]]) -> None:
    assert MongoDB(text).db.client._topology_settings.seeds == places


@pytest.mark.parametrize(
    "text",
    [
        "mongodb://",
        "mongodb:///",
        "mongodb://osp:pw@",
        "elasticsearch://",
        "elasticsearch:///x",
        "elasticsearch://:9201",
    ],
)
def test_what_4_4_0_refuses_for_want_of_a_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)host"):
        locate.driver_class(text).check(text)


def test_each_process_has_a_client_of_its_own_and_keeps_its_parents() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    clients: network.PerProcess[object] = network.PerProcess(make)
    mine = clients.get()
    assert clients.get() is mine
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            theirs = clients.get()
            # The parent's client is not collected: that could close its connection. Closing ours does not close it.
            good = theirs is not mine and mine in inherited.kept and clients.take() is theirs
            os.write(writer, b"y" if good else b"n")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 1) == b"y"
    assert clients.get() is mine
    assert clients.take() is mine
    assert clients.take() is None
    assert clients.get() is not mine
    os.close(reader)
    os.close(writer)


def test_a_failed_read_is_one_line_without_the_password() -> None:
    with pytest.raises(StoreError) as caught, network.reading("redis://:my-secret@h", KeyError):
        raise KeyError("first\nsecond")
    assert str(caught.value).startswith("cannot read redis://:***@h")
    assert "\n" not in str(caught.value)


def test_lists_show_the_earliest_record_of_each_trace_by_time() -> None:
    records = [*reversed(two_spans("b")), *two_spans("a")]
    records[-1] = {**records[-1], "timestamp": "2020-01-01T00:00:00.000000"}
    listed = network.listed(records, {"base_id", "name"})
    assert listed == [{"base_id": "a", "name": "neutron-api-stop"}, {"base_id": "b", "name": "neutron-api-start"}]


def test_importing_a_driver_loads_no_stores_client() -> None:
    drivers = ["redis_driver", "mongodb", "elasticsearch_driver", "loginsight", "messaging", "otlp", "jaeger"]
    code = (
        "import importlib, sys\n"
        f"for name in {drivers!r}: importlib.import_module('osprofiler.drivers.' + name)\n"
        "heavy = {'redis', 'pymongo', 'requests', 'oslo_messaging', 'google.protobuf', 'jaeger_client', 'tornado'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
