# SPDX-License-Identifier: Apache-2.0
"""The conformance kits for propagators: the codecs with which a tracer injects and extracts.

Subclass :class:`PropagatorKit` (or :class:`TextPropagatorKit` for dictionaries) in a test module, and override the
fixture ``codec``: an object with jaeger-client's ``inject(span_context, carrier)`` and ``extract(carrier)``.
:class:`FormatKit` is for one unsigned format, by its name in ``[profiler] propagation``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import opentracing
import pytest

from osprofiler import config, propagation
from osprofiler.config import trust
from osprofiler.context.trace_context import TraceContext
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.tracer.span_context import SpanContext

#: (trace id, span id, parent id, flags) at the limits of their ranges.
EDGES = [
    (1, 1, None, 0),
    ((1 << 64) - 1, (1 << 64) - 1, (1 << 64) - 1, 1),
    (1 << 64, 1 << 63, 1, 1),
    ((1 << 128) - 1, 0x0F, None, 1),
    (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, 2, 1),
]


class PropagatorKit:
    """The tests of a codec. Override :meth:`empty`, :meth:`wrong` and :meth:`damaged` unless it uses a bytearray."""

    @pytest.fixture
    def codec(self) -> Any:
        """The codec under test. Subclasses override it."""
        raise NotImplementedError("override the fixture 'codec'")

    def empty(self) -> Any:
        """An empty carrier."""
        return bytearray()

    def wrong(self) -> list[Any]:
        """Values that are not carriers."""
        return [None, 1, "text", {}]

    def damaged(self, carrier: Any) -> Iterator[Any]:
        """Damaged copies of *carrier*."""
        chance = random.Random(1)
        for cut in range(len(carrier)):
            yield bytearray(carrier[:cut])
        for _ in range(500):
            changed = bytearray(carrier)
            changed[chance.randrange(len(changed))] = chance.randrange(256)
            yield changed

    @pytest.mark.parametrize("ids", EDGES)
    def test_what_is_injected_is_extracted(self, codec: Any, ids: tuple[int, int, int | None, int]) -> None:
        trace_id, span_id, parent_id, flags = ids
        carrier = self.empty()
        codec.inject(SpanContext(trace_id, span_id, parent_id, flags), carrier)
        context = codec.extract(carrier)
        assert (context.trace_id, context.span_id, context.flags & 1) == (trace_id, span_id, flags)

    def test_an_empty_carrier_carries_nothing(self, codec: Any) -> None:
        assert codec.extract(self.empty()) is None

    def test_what_is_no_carrier_is_refused(self, codec: Any) -> None:
        for carrier in self.wrong():
            with pytest.raises(opentracing.InvalidCarrierException):
                codec.extract(carrier)
            with pytest.raises(opentracing.InvalidCarrierException):
                codec.inject(SpanContext(1, 2, None, 1), carrier)

    def test_damage_never_raises_and_never_makes_impossible_ids(self, codec: Any) -> None:
        carrier = self.empty()
        codec.inject(SpanContext((1 << 127) + 5, (1 << 63) + 7, 9, 1, {"key": "value"}), carrier)
        for damaged in self.damaged(carrier):
            context = codec.extract(damaged)
            if context is None:
                continue
            assert 0 <= (context.trace_id or 0) < 1 << 128
            assert 0 <= (context.span_id or 0) < 1 << 64
            assert bool(context.trace_id) == bool(context.span_id), "a trace id without a span id, or vice versa"
            assert 0 <= (context.flags or 0) < 256


class TextPropagatorKit(PropagatorKit):
    """The tests of a codec whose carrier is a dictionary of texts."""

    def empty(self) -> Any:
        return {}

    def wrong(self) -> list[Any]:
        return [None, 1, "text", bytearray()]

    def damaged(self, carrier: Any) -> Iterator[Any]:
        chance = random.Random(1)
        for name, value in carrier.items():
            yield {key: text for key, text in carrier.items() if key != name}
            for damaged in ("", " ", value * 2, f"{value},{value}", value[:-1], value + "\n", None, 7, value.encode()):
                yield {**carrier, name: damaged}
            for _ in range(100):
                at = chance.randrange(len(value))
                yield {**carrier, name: value[:at] + chance.choice("\0 %:-_xg\u0661\ud800") + value[at + 1 :]}
        yield {None: "1", 7: "2", b"uber-trace-id": b"3"}

    def test_names_are_found_in_any_case(self, codec: Any) -> None:
        carrier = self.empty()
        codec.inject(SpanContext(5, 6, None, 1), carrier)
        for change in (str.upper, str.lower, str.title):
            context = codec.extract({change(name): value for name, value in carrier.items()})
            assert (context.trace_id, context.span_id) == (5, 6)

    def test_a_carrier_is_used_again(self, codec: Any) -> None:
        carrier = self.empty()
        codec.inject(SpanContext(5, 6, None, 1), carrier)
        codec.inject(SpanContext(7, 8, None, 1), carrier)
        context = codec.extract(carrier)
        assert (context.trace_id, context.span_id) == (7, 8)

    def test_what_else_is_in_the_carrier_stays(self, codec: Any) -> None:
        carrier = {"Content-Type": "text/plain", "x-request-id": "req-1"}
        codec.inject(SpanContext(5, 6, None, 1), carrier)
        assert (carrier.pop("Content-Type"), carrier.pop("x-request-id")) == ("text/plain", "req-1")
        assert carrier

    def test_baggage_travels(self, codec: Any) -> None:
        carrier = self.empty()
        codec.inject(SpanContext(5, 6, None, 1, {"user": "Zo\u00eb & co", "n": "1"}), carrier)
        assert codec.extract(carrier).baggage == {"user": "Zo\u00eb & co", "n": "1"}

    def test_a_field_that_comes_twice_counts_as_absent(self, codec: Any) -> None:
        carrier = self.empty()
        codec.inject(SpanContext(5, 6, None, 1), carrier)
        other = {name.upper(): value for name, value in carrier.items()}
        context = codec.extract({**{name.lower(): value for name, value in carrier.items()}, **other})
        assert context is None or not context.trace_id


class FormatKit:
    """The tests of one unsigned format, through the options ``propagation`` and ``trust_incoming``."""

    @pytest.fixture
    def name(self) -> str:
        """The name of the format. Subclasses override it."""
        raise NotImplementedError("override the fixture 'name'")

    @pytest.fixture(autouse=True)
    def configured(self, name: str) -> Iterator[None]:
        """Write only this format, and trust incoming context."""
        with clean_process(), no_swallowed_faults(set()):
            config.publish(propagation=(name,), trust_incoming=trust.ALL)
            yield

    @pytest.mark.parametrize("ids", EDGES)
    def test_what_is_written_is_read(self, ids: tuple[int, int, int | None, int]) -> None:
        """Ids and the sampling decision arrive unchanged."""
        trace_id, span_id, parent_id, flags = ids
        fields = _written(trace_id, span_id, parent_id or 0, flags)
        incoming = propagation.read(fields)
        assert incoming is not None
        read = incoming.origin
        assert (read.trace_id, read.parent_span_id, read.flags & 1) == (trace_id, span_id, flags)

    def test_fields_are_text(self) -> None:
        """Names and values can be HTTP headers."""
        fields = _written(5, 6, 7, 1)
        assert fields
        for text in (*fields, *fields.values()):
            assert isinstance(text, str)
            assert text.isascii()
            assert text.isprintable()

    def test_nothing_is_read_from_nothing(self) -> None:
        """Other fields are not a trace."""
        assert propagation.read({}) is None
        assert propagation.read({"x-request-id": "req-1"}) is None

    def test_a_virtual_root_is_not_written(self) -> None:
        """Unsigned formats have the id of a span. A trace without a span has no fields."""
        assert _written(5, 0, 0, 1) == {}

    def test_it_is_written_only_where_it_is_configured(self) -> None:
        """``[profiler] propagation`` decides."""
        config.publish(propagation=("osprofiler",))
        assert _written(5, 6, 7, 1) == {}

    def test_it_counts_only_where_it_is_trusted(self) -> None:
        """``[profiler] trust_incoming`` decides."""
        fields = _written(5, 6, 7, 1)
        config.publish(trust_incoming=trust.SIGNED)
        assert propagation.read(fields) is None

    def test_damaged_fields_never_raise_and_never_make_impossible_ids(self) -> None:
        """A field that is cut, changed or longer counts as absent, or has possible ids."""
        fields = _written((1 << 127) + 5, (1 << 63) + 7, 9, 1)
        for damaged in TextPropagatorKit().damaged(fields):
            incoming = propagation.read({name: text for name, text in damaged.items() if isinstance(text, str)})
            if incoming is not None:
                assert 0 < incoming.origin.trace_id < 1 << 128
                assert 0 <= incoming.origin.parent_span_id < 1 << 64


def _written(trace_id: int, span_id: int, parent_id: int, flags: int) -> dict[str, str]:
    context = TraceContext.from_ids(trace_id, span_id, flags=flags)._replace(parent_span_id=parent_id)
    return {name.lower(): text for name, text in propagation.write_unsigned(context).items()}
