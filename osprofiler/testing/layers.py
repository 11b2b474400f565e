# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for layers: libraries whose calls become spans when a switch is on.

Subclass :class:`LayerKit` in a test module, and override the fixture ``layer``. ``commands`` and ``http_clients`` are
larger kits on top of this one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from typing import Any, Protocol

import pytest

from osprofiler import config, profiler
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.masking import applying
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import KEY, RecordedSpan, Recording, recording

#: What is secret in each of :data:`SECRETS`.
SECRET = "hUnTeR2"

#: Texts in the forms in which services have secrets. No span may show them.
SECRETS: dict[str, str] = {
    "a password alone": SECRET,
    "an assignment": f"password={SECRET}",
    "JSON": json.dumps({"auth": {"password": SECRET}}),
    "a header": f"X-Auth-Token: {SECRET}",
    "a URL": f"mysql+pymysql://nova:{SECRET}@db/nova",
    "a token of keystone": f"gAAAAABn{SECRET}abcdefghijklmnop",
    "a JSON web token": f"eyJhbGciOiJIUzI1NiJ9.eyJ{SECRET}.abc",
    "a private key": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
}


class Layer(Protocol):
    """A library and its instrumentation. A method may return an awaitable; the kit runs it in an event loop."""

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations of the spans of one :meth:`call`, in the order of their ends."""

    def instrument(self) -> None:
        """Trace what the library does from now on."""

    def uninstrument(self) -> None:
        """Undo :meth:`instrument`."""

    def original(self) -> Any:
        """The present values of what the instrumentation replaces: functions, methods or properties of the library."""

    def call(self, text: str) -> Any:
        """Call the library once, so that it works.

        *text* is in every place where a service has secrets: a value, a parameter, a header, the password of a URL.
        """

    def fail(self, text: str) -> Any:
        """Call the library so that it raises. One of its spans is an error. *text*: see :meth:`call`."""


class LayerKit:
    """The tests of a layer."""

    @pytest.fixture
    def layer(self) -> Layer:
        """The layer under test. Subclasses override it."""
        raise NotImplementedError("override the fixture 'layer'")

    @pytest.fixture(autouse=True)
    def spans(self, layer: Layer) -> Iterator[Recording]:
        """The spans of a test. The library is instrumented, and a trace is on."""
        original = layer.original()
        with clean_process():
            config.publish(enabled=True, hmac_keys=(KEY,))
            layer.instrument()
            try:
                with no_swallowed_faults(set()), recording() as spans:
                    yield spans
                    assert spans.unfinished() == []
            finally:
                layer.uninstrument()
        assert layer.original() == original, "uninstrument() did not restore the library"

    def test_a_call_is_its_spans(self, layer: Layer, spans: Recording) -> None:
        """They have their names, are below the current point, and no one is an error."""
        with profiler.Trace("outer"):
            run(layer.call("text"))
        *own, outer = spans
        assert [span.operation for span in own] == list(layer.operations)
        above = {outer.point_id, *(span.point_id for span in own)}
        assert {span.parent_id for span in own} <= above
        assert any(span.parent_id == outer.point_id for span in own)
        for span in own:
            assert span.tags.get("component"), span.operation
            assert span.error is None

    def test_a_call_that_fails_is_an_error(self, layer: Layer, spans: Recording) -> None:
        """The library's own exception reaches the caller."""
        with pytest.raises(Exception) as raised:
            run(layer.fail("text"))
        assert type(raised.value).__module__.partition(".")[0] != "osprofiler"
        assert any(span.error for span in spans)

    def test_no_secret_is_shown(self, layer: Layer, spans: Recording) -> None:
        """Neither by a call that works nor by one that fails, after the reporter has masked what has a name."""
        for form, text in SECRETS.items():
            del spans[:]
            run(layer.call(text))
            shown = list(spans)
            with pytest.raises(Exception) as raised:
                run(layer.fail(text))
            says_it = SECRET in str(raised.value)  # the library's own message, which has no names
            shown += [_without_message(span) if says_it else span for span in spans[len(shown) :]]
            assert shown
            assert SECRET not in repr([_masked(span) for span in shown]), form

    def test_the_current_point_is_as_before(self, layer: Layer) -> None:
        """A call does not change its caller's current point, however it ends."""
        before = current.point.get()
        run(layer.call("text"))
        assert current.point.get() is before
        with pytest.raises(Exception):  # noqa: B017
            run(layer.fail("text"))
        assert current.point.get() is before

    def test_without_a_sampled_trace_it_only_calls(self, layer: Layer, spans: Recording) -> None:
        """There is no span without a trace, in one that is not sampled, and for the delivery of spans."""
        for point in (None, Point(None, None, Origin.from_osprofiler(KEY, flags=0)), scope.SUPPRESSED):
            with scope.entered(point):
                run(layer.call("text"))
        assert spans == []

    def test_uninstrumented_it_is_the_library_s_own(self, layer: Layer, spans: Recording) -> None:
        """After uninstrument() nothing is traced. After two instrument() each call has its spans once."""
        layer.uninstrument()
        run(layer.call("text"))
        assert spans == []
        layer.instrument()
        layer.instrument()
        run(layer.call("text"))
        assert [span.operation for span in spans] == list(layer.operations)


def run(answer: Any) -> Any:
    """The result of a call: *answer*, or what it is awaited for."""
    return asyncio.run(_awaited(answer)) if isinstance(answer, Awaitable) else answer


async def _awaited(answer: Awaitable[Any]) -> Any:
    """The answer; the task that waits for it must stay at its point."""
    before = current.point.get()
    try:
        return await answer
    finally:
        assert current.point.get() is before, "the call has moved its caller"


def _masked(span: RecordedSpan) -> Any:
    """What the reporter delivers of *span*."""
    logs = [log.fields for log in span.logs]
    texts = {"operation": span.operation, "tags": span.tags, "logs": logs, "error": span.error}
    return [applying.record({"name": span.name, "info": info}) for info in (span.info, span.stop_info, texts)]


def _without_message(span: RecordedSpan) -> RecordedSpan:
    shown = {name: value for name, value in vars(span).items() if name not in ("logs", "stop_info")}
    return RecordedSpan(**shown)
