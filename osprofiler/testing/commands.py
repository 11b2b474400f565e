# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for instrumentation of databases and caches that have no SQL, against a real server.

Subclass :class:`CommandKit` in a test module and give it the fixture ``client``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from osprofiler import config, profiler
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import KEY, RecordedSpan, Recording, recording

_SECRET = "hUnTeR2"

#: Values in the forms in which services store secrets; none may be in a span.
SECRETS: dict[str, str] = {
    "a password alone": _SECRET,
    "an assignment": f"password={_SECRET}",
    "JSON": json.dumps({"auth": {"password": _SECRET}}),
    "a header": f"X-Auth-Token: {_SECRET}",
    "a URL": f"mysql+pymysql://nova:{_SECRET}@db/nova",
    "a token of keystone": f"gAAAAABn{_SECRET}abcdefghijklmnop",
    "a JSON web token": f"eyJhbGciOiJIUzI1NiJ9.eyJ{_SECRET}.abc",
    "a private key": f"-----BEGIN RSA PRIVATE KEY-----\n{_SECRET}\n-----END RSA PRIVATE KEY-----",
}


class CommandClient(Protocol):
    """A library that sends commands to a database or cache, and its instrumentation.

    A *place* is what a command works on and a span shows: a key, or a collection. It is a name of letters. Whatever
    the library raises passes.
    """

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


class CommandKit:
    """What the instrumentation of every such library must do."""

    @pytest.fixture
    def client(self) -> CommandClient:
        """The client under test; subclasses override it."""
        raise NotImplementedError("give the kit a fixture named client")

    @pytest.fixture(autouse=True)
    def spans(self, client: CommandClient) -> Iterator[Recording]:
        """The spans of a test, with the library instrumented and a trace on."""
        client.write("warm", "up")  # what connecting sends is not counted
        client.read("warm")
        original = client.original()
        with clean_process():
            config.publish(enabled=True, hmac_keys=(KEY,))
            client.instrument()
            try:
                with no_swallowed_faults(set()), recording() as spans:
                    yield spans
                    assert spans.unfinished() == []
            finally:
                client.uninstrument()
        assert client.original() == original, "the library was not left as it was"

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

    @pytest.mark.parametrize("form", SECRETS)
    def test_no_secret_is_shown(self, client: CommandClient, spans: Recording, form: str) -> None:
        """Neither of a command that succeeds nor of one that is refused, also before anything is masked."""
        client.write("place", SECRETS[form])
        client.read("place")
        with pytest.raises(Exception) as raised:
            client.refused("place", SECRETS[form])
        if _SECRET in str(raised.value):
            spans[-1] = _without_message(spans[-1])  # the server's own text, which the reporter masks
        assert len(spans) == 3
        assert _SECRET not in repr(spans)

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

    def test_the_current_point_is_as_before(self, client: CommandClient) -> None:
        """A command leaves its caller where it was, however it ends."""
        before = current.point.get()
        client.write("place", "value")
        assert current.point.get() is before
        with pytest.raises(Exception):  # noqa: B017
            client.refused("place", "value")
        assert current.point.get() is before

    def test_without_a_sampled_trace_it_only_sends(self, client: CommandClient, spans: Recording) -> None:
        """No span without a trace, in one that is not sampled, nor for what delivers spans."""
        for point in (None, Point(None, None, Origin.from_osprofiler(KEY, flags=0)), scope.SUPPRESSED):
            with scope.entered(point):
                client.write("place", "value")
                client.read("place")
        assert spans == []

    def test_uninstrumented_it_is_the_library_s_own(self, client: CommandClient, spans: Recording) -> None:
        """Turned off, nothing is traced; turned on again and again, everything is, once, also of older clients."""
        client.uninstrument()
        client.write("place", "value")
        assert spans == []
        client.instrument()
        client.instrument()
        client.write("place", "value")
        assert len(spans) == 1


def _without_message(span: RecordedSpan) -> RecordedSpan:
    shown = {name: value for name, value in vars(span).items() if name not in ("logs", "stop_info")}
    return RecordedSpan(**shown)
