# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for decorators that open a trace point around a call.

Subclass :class:`DecoratorKit` in a test module, and override the fixture ``decorate``: it returns the decorator.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from osprofiler import profiler
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import RecordedSpan, Recording, recording

Decorate = Callable[[Any], Any]


class BadRepr:
    """An argument whose ``repr`` and ``str`` raise."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class DecoratorKit:
    """The tests of a decorator: a callable keeps its kind, and each call is one span, as long as the body runs."""

    @pytest.fixture
    def decorate(self) -> Decorate:
        """The decorator under test. Subclasses override it."""
        raise NotImplementedError("override the fixture 'decorate'")

    @pytest.fixture(autouse=True)
    def spans(self) -> Iterator[Recording]:
        """The spans of a test. It fails if a point is left open, or if a fault of tracing was swallowed."""
        with clean_process(), no_swallowed_faults(set()), recording() as spans:
            yield spans
            assert spans.unfinished() == []

    def test_a_function(self, decorate: Decorate, spans: Recording) -> None:
        """Arguments and result pass unchanged. The body runs inside the point."""
        assert decorate(_work)(1, c=5) == 8
        _one_point_around(spans)

    def test_it_keeps_name_text_and_signature(self, decorate: Decorate) -> None:
        """Documentation and introspection show the function itself."""
        decorated = decorate(_work)
        assert (decorated.__name__, decorated.__doc__) == ("_work", _work.__doc__)
        assert inspect.signature(decorated) == inspect.signature(_work)

    def test_a_method(self, decorate: Decorate, spans: Recording) -> None:
        """A method, also if a subclass inherits it."""

        class Thing:
            value = 3

            @decorate
            def method(self, a: int) -> int:
                return _work(self.value, a)

        class Derived(Thing):
            pass

        assert Derived().method(2) == 8
        _one_point_around(spans)

    @pytest.mark.parametrize("kind", [classmethod, staticmethod])
    @pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
    def test_a_class_or_static_method(self, decorate: Decorate, spans: Recording, kind: Any, outside: bool) -> None:
        """With the decorator inside ``classmethod`` or ``staticmethod``, and outside it."""

        def method(*args: int) -> int:
            return _work(*args[-1:])

        made = decorate(kind(method)) if outside else kind(decorate(method))
        thing = type("Thing", (), {"method": made})
        assert thing.method(2) == thing().method(2) == 7  # type: ignore[attr-defined]
        assert spans.names().count("body") == 2
        assert len(spans) == 4

    def test_a_callable_object(self, decorate: Decorate, spans: Recording) -> None:
        """An object with ``__call__`` can be decorated."""

        class Callable_:
            def __call__(self, a: int) -> int:
                return _work(a)

        assert decorate(Callable_())(2) == 7
        _one_point_around(spans)

    def test_a_coroutine(self, decorate: Decorate, spans: Recording) -> None:
        """The point lasts until the coroutine returns."""

        @decorate
        async def work(a: int) -> int:
            await asyncio.sleep(0)
            return _work(a)

        assert inspect.iscoroutinefunction(work)
        assert asyncio.run(work(2)) == 7
        _one_point_around(spans)

    def test_a_generator(self, decorate: Decorate, spans: Recording) -> None:
        """The body runs inside the point. The caller's code between two items runs outside it."""

        @decorate
        def numbers(limit: int) -> Iterator[int]:
            yield from range(limit)
            _work(1)

        taken = []
        for number in numbers(3):
            with profiler.Trace(f"between {number}"):
                taken.append(number)
        assert taken == [0, 1, 2]
        outside = {span.parent_id for span in spans if span.name.startswith("between")}
        point = _point_above(spans, spans.one("body"))
        assert outside == {point.base_id}
        assert len(spans) == 5

    def test_an_asynchronous_generator(self, decorate: Decorate, spans: Recording) -> None:
        """The same as a generator."""

        @decorate
        async def numbers(limit: int) -> AsyncIterator[int]:
            for number in range(limit):
                await asyncio.sleep(0)
                yield number
            _work(1)

        async def take() -> list[int]:
            return [number async for number in numbers(3)]

        assert asyncio.run(take()) == [0, 1, 2]
        _one_point_around(spans)

    def test_an_exception_passes_as_it_is(self, decorate: Decorate, spans: Recording) -> None:
        """The caller gets the same object. The span is an error with its class."""
        fault = LookupError("gone")

        @decorate
        def fail() -> None:
            raise fault

        with pytest.raises(LookupError) as raised:
            fail()
        assert raised.value is fault
        (span,) = spans
        assert span.error == "LookupError"

    def test_arguments_and_results_whose_repr_raises(self, decorate: Decorate, spans: Recording) -> None:
        """The call works although its arguments cannot be shown."""
        given = BadRepr()
        assert decorate(lambda value, *, more: value)(given, more=given) is given
        assert len(spans) == 1

    def test_calls_nest(self, decorate: Decorate, spans: Recording) -> None:
        """Each call of a recursion is a point inside the point of the former call."""

        @decorate
        def down(steps: int) -> int:
            return steps and down(steps - 1)

        assert down(2) == 0
        inner, middle, outer = spans
        assert (inner.parent_id, middle.parent_id) == (middle.point_id, outer.point_id)

    def test_without_a_trace_it_only_calls(self, decorate: Decorate, spans: Recording) -> None:
        """Nothing is recorded."""
        profiler.clean()
        assert decorate(_work)(1) == 6
        assert spans == []


def _work(a: int, b: int = 2, *, c: int = 3) -> int:
    """Return the sum, inside a point called ``body``."""
    with profiler.Trace("body"):
        return a + b + c


def _point_above(spans: Recording, body: RecordedSpan) -> RecordedSpan:
    (point,) = [span for span in spans if span.point_id == body.parent_id]
    return point


def _one_point_around(spans: Recording) -> None:
    """Check that the recorded spans are that of the body, and that of the decorator around it."""
    body = spans.one("body")
    point = _point_above(spans, body)
    assert len(spans) == 2, spans.names()
    assert point.parent_id == point.base_id
    assert point.start_us <= body.start_us
    assert body.start_us + body.duration_us <= point.start_us + point.duration_us + 1
