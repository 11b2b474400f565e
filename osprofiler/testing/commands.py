# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for instrumentation of databases and caches that have no SQL, against a real server.

Subclass :class:`CommandKit` in a test module and give it the fixture ``client``.
"""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from osprofiler import config, profiler
from osprofiler.testing.layers import Layer, LayerKit
from osprofiler.testing.recorder import Recording


class CommandClient(Protocol):
    """A library that sends commands to a database or cache, and its instrumentation.

    A *place* is what a command works on and a span shows: a key, or a collection. It is a name of letters. Whatever
    the library raises passes.
    """

    operations: tuple[str, ...]  # of the spans of a ``write`` and a ``read``
    system: str  # the database, as the tag ``db.type`` has it
    knows_peer: bool  # whether the library tells where a command is sent before it is sent

    def instrument(self) -> None:
        """Trace what the library sends from now on."""

    def uninstrument(self) -> None:
        """Leave the library as it was."""

    def original(self) -> Any:
        """What the instrumentation replaces, as it is now: functions, methods or properties of the library."""

    def write(self, place: str, value: str) -> None:
        """Store *value* by one command."""

    def read(self, place: str) -> Any:
        """Read what is there by one command of another name."""

    def refused(self, place: str, value: str) -> None:
        """Send one command with *value* that the server refuses, to a place that has been written."""

    def unanswered(self, place: str) -> None:
        """Send one command to a server that has gone since it answered, or that was never there."""


class _Commands:
    """The commands of a client as a layer."""

    def __init__(self, client: CommandClient) -> None:
        client.write("warm", "up")  # what connecting sends is not counted
        client.read("warm")
        self._client = client
        self.instrument = client.instrument
        self.uninstrument = client.uninstrument
        self.original = client.original

    @property
    def operations(self) -> tuple[str, ...]:
        return tuple(self._client.operations)

    def call(self, text: str) -> None:
        self._client.write("place", text)
        self._client.read("place")

    def fail(self, text: str) -> None:
        self._client.write("place", text)
        self._client.refused("place", text)


class CommandKit(LayerKit):
    """The tests of the instrumentation of such a library."""

    @pytest.fixture
    def client(self) -> CommandClient:
        """The client under test. Subclasses override it."""
        raise NotImplementedError("override the fixture 'client'")

    @pytest.fixture
    def layer(self, client: CommandClient) -> Layer:
        """The client as a layer."""
        return _Commands(client)

    def test_a_command_is_one_client_span(self, client: CommandClient, spans: Recording) -> None:
        """It is under the current point and has the standard tags."""
        with profiler.Trace("outer"):
            client.write("place", "value")
            client.read("place")
        *sent, outer = spans
        assert len(sent) == 2
        for span in sent:
            assert span.parent_id == outer.point_id
            assert (span.name, span.tags["db.type"]) == (client.system, client.system)
            assert span.tags["span.kind"] == "client"
            assert span.tags["component"]
            assert span.error is None
        if client.knows_peer:
            assert [type(sent[0].tags[f"peer.{name}"]) for name in ("hostname", "port")] == [str, int]

    def test_the_operation_is_the_command_s_name(self, client: CommandClient, spans: Recording) -> None:
        """Its name stands behind the database's, without the place: Jaeger has a list of all operations."""
        client.write("place", "value")
        client.read("place")
        system, _, verb = spans[0].operation.partition(" ")
        assert system == client.system
        assert verb
        assert spans[0].operation != spans[1].operation
        assert "place" not in spans[0].operation

    def test_the_statement_has_the_place_and_no_value(self, client: CommandClient, spans: Recording) -> None:
        """The place tells one command from another."""
        client.write("place", "thevalue")
        assert "place" in spans[0].tags["db.statement"]
        assert "thevalue" not in repr(spans)

    @pytest.mark.parametrize("kept", ["types", "none"])
    def test_where_arguments_are_not_kept_no_place_is(self, client: CommandClient, spans: Recording, kept: str) -> None:
        """``trace_arguments`` also decides what a command shows."""
        config.publish(trace_arguments=kept)
        client.write("place", "value")
        assert len(spans) == 1
        assert "place" not in repr(spans)

    def test_a_long_place_is_cut(self, client: CommandClient, spans: Recording) -> None:
        """A span's size is bounded."""
        client.read("x" * 100)
        place = "x" * 200
        client.write(place, "v" * 100_000)
        assert all(len(str(value)) < 5_000 for value in spans[1].tags.values())

    def test_a_command_that_is_refused_is_an_error(self, client: CommandClient, spans: Recording) -> None:
        """The library's own exception reaches the caller, and the span says what went wrong."""
        client.write("place", "value")
        with pytest.raises(Exception) as raised:
            client.refused("place", "value")
        assert len(spans) == 2
        assert [span.error is None for span in spans] == [True, False]
        assert type(raised.value).__module__.partition(".")[0] not in ("osprofiler", "builtins")
        assert any(log.fields.get("message") for log in spans[1].logs)

    def test_a_command_that_is_not_answered_is_an_error(self, client: CommandClient, spans: Recording) -> None:
        """A server that has gone is an error of the command that notices, which ends last."""
        with pytest.raises(Exception) as raised:
            client.unanswered("place")
        assert type(raised.value).__module__.partition(".")[0] != "osprofiler"
        assert spans[-1].error
