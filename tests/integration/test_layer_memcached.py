# SPDX-License-Identifier: Apache-2.0
"""The layer of pymemcache on a real memcached: what each command shows, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pymemcache
import pytest

from osprofiler import config
from osprofiler.instrumentation import pymemcache as layer
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import Recording, recording
from tests import servers
from tests.unit.core_kit import a_clean_process


@pytest.fixture
def client(memcached: servers.Memcached) -> Iterator[pymemcache.Client]:
    """A client that was made before the layer was turned on."""
    with a_clean_process():
        made = pymemcache.Client(("127.0.0.1", memcached.port), key_prefix="shop-", default_noreply=False)
        made.flush_all()
        made.set("n", "1")
        registry.instrument("pymemcache")
        yield made
        registry.uninstrument()
        made.close()


@pytest.fixture
def spans(client: Any) -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded
        assert recorded.unfinished() == []


CALLS: list[tuple[Callable[[Any], Any], Any, str]] = [
    (lambda client: client.set("a", "v"), True, "set shop-a"),
    (lambda client: client.set(value="v", key=b"a"), True, "set shop-a"),
    (lambda client: client.add("n", "v"), False, "add shop-n"),
    (lambda client: client.get("n"), b"1", "get shop-n"),
    (lambda client: client.get("missing", "default"), "default", "get shop-missing"),
    (lambda client: client.incr("n", 41), 42, "incr shop-n"),
    (lambda client: client.cas("n", "v", b"0"), False, "cas shop-n"),
    (lambda client: client.touch("n", 60), True, "touch shop-n"),
    (lambda client: client.set_many({"a": "v", "b": "w"}), [], "set_many shop-a shop-b"),
    (lambda client: client.get_many(["n", "a"]), {"n": b"1"}, "get_many shop-n shop-a"),
    (lambda client: client.get_multi(keys=("n",)), {"n": b"1"}, "get_many shop-n"),
    (lambda client: client.delete_many(["n"]), True, "delete_many shop-n"),
    (lambda client: client.delete("n"), True, "delete shop-n"),
    (lambda client: client.flush_all(), True, "flush_all"),
    (lambda client: client.raw_command(b"mn"), b"MN", "raw_command"),
]


@pytest.mark.parametrize(("call", "answer", "statement"), CALLS, ids=[statement for *_, statement in CALLS])
def test_a_command_is_one_span_with_its_keys(
    client: Any, spans: Recording, call: Callable[[Any], Any], answer: Any, statement: str
) -> None:
    assert call(client) == answer
    assert [(span.operation, span.tags["db.statement"]) for span in spans] == [
        (f"memcached {statement.split()[0]}", statement)
    ]
    assert (spans[0].tags["peer.hostname"], spans[0].tags["peer.port"]) == client.server


def test_a_dictionary_s_ways_are_commands_too(client: Any, spans: Recording) -> None:
    client["a"] = "v"
    assert client["a"] == b"v"
    del client["a"]
    assert [span.operation for span in spans] == ["memcached set", "memcached get", "memcached delete"]


def test_keys_that_can_be_read_only_once_are_the_command_s(client: Any, spans: Recording) -> None:
    assert client.delete_many(key for key in ("n", "a"))
    assert client.get("n") is None
    assert spans[0].tags["db.statement"] == "delete_many"


def test_many_keys_are_cut(client: Any, spans: Recording) -> None:
    client.get_many([str(number) for number in range(20)])
    assert spans[0].tags["db.statement"].endswith(" shop-15 ...(4 more)")


def test_keys_are_shown_only_where_arguments_are(client: Any, spans: Recording) -> None:
    config.publish(trace_arguments="none")
    client.get_many(["a", "b"])
    assert spans[0].tags["db.statement"] == "get_many ?"


def test_keys_on_two_servers_are_two_spans(memcached: servers.Memcached, client: Any, spans: Recording) -> None:
    hashing = pymemcache.HashClient([f"127.0.0.1:{memcached.port}", f"localhost:{memcached.port}"])
    hashing.get_many([str(number) for number in range(50)])
    assert {span.tags["peer.hostname"] for span in spans} == {"127.0.0.1", "localhost"}
    assert [span.operation for span in spans] == ["memcached get_many"] * 2


def test_a_wrong_call_is_the_library_s_own_error(client: Any) -> None:
    with recording() as spans, pytest.raises(TypeError, match="missing 1 required positional argument"):
        client.set("a")
    assert spans[0].error is not None


def test_every_method_of_the_layer_is_pymemcache_s() -> None:
    for name in (*layer._ONE_KEY, *layer._MANY_KEYS, *layer._NO_KEY, *layer._ALIASES):
        assert callable(vars(pymemcache.Client)[name])
