# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for wires: the ways to send a trace context with a message, such as headers or envelopes.

Subclass :class:`WireKit` in a test module, and override the fixture ``wire``, which has both ends of the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from osprofiler import config, profiler
from osprofiler.config import trust
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import Recording, recording

#: The key of both ends of a wire. The kit configures it.
KEY = "wire kit key"

_FOREIGN_TRACE, _FOREIGN_SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
#: One field of each unsigned format. All have the same trace.
FOREIGN = {
    "uber-trace-id": f"{_FOREIGN_TRACE:032x}:{_FOREIGN_SPAN:016x}:0:1",
    "traceparent": f"00-{_FOREIGN_TRACE:032x}-{_FOREIGN_SPAN:016x}-01",
    "b3": f"{_FOREIGN_TRACE:032x}-{_FOREIGN_SPAN:016x}-1",
}
#: Values of a field after an attack or a fault on the way.
_HOSTILE: tuple[Any, ...] = ("", " ", "\0", "\ud800", "x" * 100_000, None, 7, b"bytes", [], {})


class Wire(Protocol):
    """Both ends of a wire. A message is a dictionary of fields by name."""

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        """The client: return the fields of *message*, and the fields with the current trace."""

    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        """The server: call *work* once, in the trace of *message*."""


class WireKit:
    """The tests of a wire. ``[profiler] hmac_keys`` is :data:`KEY`."""

    @pytest.fixture
    def wire(self) -> Wire:
        """The wire under test. Subclasses override it."""
        raise NotImplementedError("override the fixture 'wire'")

    @pytest.fixture(autouse=True)
    def spans(self) -> Iterator[Recording]:
        """The spans of a test. It fails if a fault of tracing was swallowed."""
        with clean_process():
            config.publish(enabled=True, hmac_keys=(KEY,))
            with no_swallowed_faults(set()), recording(trace=False) as spans:
                yield spans

    def test_the_receiver_continues_the_trace_under_the_sender(self, wire: Wire, spans: Recording) -> None:
        """The work of a message is in the sender's trace, under the sender's point."""
        message = _sent(wire)
        _received(wire, message)
        assert _ancestor_of_work(spans).parent_id == spans.one("client").point_id
        assert spans.one("work").base_id == spans.one("client").base_id

    def test_a_root_without_an_open_point_is_continued(self, wire: Wire, spans: Recording) -> None:
        """A sender that has only called ``init``, and opened no point, passes its trace on too."""
        profiler.init(KEY)
        trace = profiler.get()
        message = wire.send({})
        profiler.clean()
        _received(wire, message)
        assert trace is not None
        assert spans.one("work").base_id == trace.get_base_id()

    def test_what_else_is_in_the_message_stays(self, wire: Wire) -> None:
        """The service's own fields arrive unchanged."""
        message = _sent(wire, {"x-own": "1", "user": "Zo\u00eb"})
        assert (message["x-own"], message["user"]) == ("1", "Zo\u00eb")

    def test_without_a_trace_nothing_is_sent_and_nothing_begins(self, wire: Wire, spans: Recording) -> None:
        """The message of an untraced request is sent unchanged, and its work is not traced."""
        message = wire.send({"x-own": "1"})
        assert message == {"x-own": "1"}
        _received(wire, message, traced=False)
        assert spans == []

    def test_no_is_carried_on(self, wire: Wire, spans: Recording) -> None:
        """A request that is not sampled stays so after two hops: no service decides again."""
        config.publish(sampler="const:1")
        with scope.entered(Point(None, None, Origin.from_osprofiler(KEY, flags=0))):
            message = wire.send({})
        onward: list[dict[str, Any]] = []
        _received(wire, message, traced=False, then=lambda: onward.append(wire.send({})))
        _received(wire, onward[0], traced=False)
        assert spans == []

    def test_the_key_is_not_sent(self, wire: Wire) -> None:
        """No field contains the key."""
        assert KEY not in repr(_sent(wire))

    def test_a_message_signed_with_another_key_is_not_traced(self, wire: Wire, spans: Recording) -> None:
        """Only the configured keys may ask for a trace."""
        message = _sent(wire, key="somebody else's key")
        _received(wire, message, traced=False)
        assert spans.names() == ["client"]

    def test_hostile_fields_harm_nobody(self, wire: Wire, spans: Recording) -> None:
        """With any value in a field, the work runs once, in the sender's trace or in no trace."""
        message = _sent(wire)
        base_id = spans.one("client").base_id
        for name, value in message.items():
            changed = [] if not isinstance(value, str) else [value[:-1], value * 2, value.swapcase() + "!", value[::-1]]
            for hostile in (*_HOSTILE, *changed):
                _received(wire, {**message, name: hostile}, traced=None)
        assert {span.base_id for span in spans} == {base_id}

    def test_fields_of_unknown_types_and_names_harm_nobody(self, wire: Wire) -> None:
        """A message may have any fields."""
        _received(wire, {"": "", "x": None, "y": {"deep": [1]}, "\ud800": "z"}, traced=False)

    @pytest.mark.parametrize("name", FOREIGN)
    def test_foreign_context_counts_only_where_it_is_trusted(self, wire: Wire, spans: Recording, name: str) -> None:
        """``[profiler] trust_incoming`` decides for the unsigned formats."""
        config.publish(trust_incoming=trust.SIGNED)
        _received(wire, {name: FOREIGN[name]}, traced=False)
        config.publish(trust_incoming=trust.ALL)
        _received(wire, {name: FOREIGN[name]})
        assert int(spans.one("work").base_id.replace("-", ""), 16) == _FOREIGN_TRACE

    @pytest.mark.parametrize("trusted", [False, True])
    def test_what_is_signed_goes_before_what_is_foreign(self, wire: Wire, spans: Recording, trusted: bool) -> None:
        """A foreign context in a signed message does not move a span to another trace."""
        config.publish(trust_incoming=trust.ALL if trusted else trust.SIGNED)
        _received(wire, {**_sent(wire), **FOREIGN})
        assert spans.one("work").base_id == spans.one("client").base_id

    def test_a_message_is_sent_on(self, wire: Wire, spans: Recording) -> None:
        """A service that forwards a message sends its own point, not the received one."""
        message = _sent(wire)
        onward: list[dict[str, Any]] = []
        _received(wire, message, then=lambda: onward.append(wire.send(dict(message))))
        _received(wire, onward[0], name="onward work")
        assert spans.one("onward work").base_id == spans.one("client").base_id
        assert _ancestor_of_work(spans, "onward work").parent_id == spans.one("work").point_id

    def test_the_receiver_keeps_nothing_of_the_trace(self, wire: Wire, spans: Recording) -> None:
        """On the same thread, the next message without a trace is not traced."""
        _received(wire, _sent(wire))
        _received(wire, {}, traced=False, name="next")
        assert "next" not in spans.names()


def _sent(wire: Wire, message: dict[str, Any] | None = None, key: str = KEY) -> dict[str, Any]:
    """Send *message* as a traced client, from a point called ``client``."""
    profiler.init(key)
    with profiler.Trace("client"):
        sent = wire.send(dict(message or {}))
    profiler.clean()
    return sent


def _received(
    wire: Wire,
    message: dict[str, Any],
    *,
    traced: bool | None = True,
    then: Callable[[], object] | None = None,
    name: str = "work",
) -> None:
    """Receive *message*. Its work opens a point called *name*, and then calls *then*.

    *traced*: whether the work must be in a trace; None: both are right.
    """
    ran: list[bool] = []

    def work() -> None:
        ran.append(profiler.get() is not None)
        with profiler.Trace(name):
            if then is not None:
                then()

    with scope.entered(None):
        wire.receive(message, work)
        assert current.point.get() is None, "the receiver stays in the trace"
    assert len(ran) == 1, f"the work ran {len(ran)} times"
    assert traced in (None, ran[0]), f"the work was {'' if ran[0] else 'not '}traced"


def _ancestor_of_work(spans: Recording, name: str = "work") -> Any:
    """The outermost span of the receiver for the work *name*: a server span, or the span of the work itself."""
    by_id = {span.point_id: span for span in spans}
    span = spans.one(name)
    while (above := by_id.get(span.parent_id)) is not None and above.name not in ("client", "work"):
        span = above
    return span
