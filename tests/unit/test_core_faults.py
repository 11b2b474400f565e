# SPDX-License-Identifier: Apache-2.0
"""An exception on its way through nested points: its stack is taken once, where it was raised, and bounded."""

import asyncio
import contextlib
import dataclasses
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osprofiler import profiler
from osprofiler.context import faults
from osprofiler.records.names import RAISED_IN
from osprofiler.tracer.span import Span
from tests.unit.core_kit import SpanKeeper, kept_spans

pytestmark = pytest.mark.usefixtures("osprofiler_process")


@pytest.fixture
def spans(spans: SpanKeeper) -> SpanKeeper:
    profiler.init("key")
    return spans


def log_of(span: Span) -> dict[str, Any]:
    """The error's log of a span that failed."""
    (log,) = [fields for _, fields in span.own_logs if fields["event"] == "error"]
    return log


def stacks(spans: SpanKeeper) -> list[str | None]:
    """The name of each finished span with a stack, or that of the span that it refers to in brackets."""
    names = {f"{span.span_id:016x}": span.name for span in spans.finished}
    found: list[str | None] = []
    for span in spans.finished:
        log = log_of(span)
        assert ("stack" in log) is (RAISED_IN not in log)
        found.append(span.name if "stack" in log else f"({names[log[RAISED_IN]]})")
    return found


def function(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    return profiler.trace(f"{number}")(lambda: inner())


def block(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        with profiler.Trace(f"{number}"):
            inner()

    return run


def generator(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    @profiler.trace(f"{number}")
    def body() -> Iterator[None]:
        yield inner()

    return lambda: list(body())


def manager(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    @contextlib.contextmanager
    def point() -> Iterator[None]:
        with profiler.Trace(f"{number}"):
            yield

    def run() -> None:
        with point():
            inner()

    return run


def coroutine(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    @profiler.trace(f"{number}")
    async def body() -> None:
        inner()

    def run() -> None:
        with contextlib.closing(body()) as running:
            running.send(None)

    return run


def task(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    @profiler.trace(f"{number}")
    async def body() -> None:
        inner()

    async def elsewhere() -> None:
        await asyncio.create_task(body())

    def run() -> None:
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            asyncio.run(elsewhere())
        finally:
            asyncio._set_running_loop(loop)

    return run


def left_open(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
    """A block with a bare start inside, which the exception leaves open."""

    def run() -> None:
        with profiler.Trace(f"{number}"):
            profiler.start("bare")
            inner()

    return run


def fail() -> None:
    raise LookupError("no valid host")


KINDS = [function, block, generator, manager, coroutine, task]


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_a_stack_is_taken_once(spans: SpanKeeper, kind: Any) -> None:
    call: Callable[[], Any] = fail
    for number in range(12):
        call = (KINDS[number % len(KINDS)] if kind == "mixed" else kind)(number, call)
    with pytest.raises(LookupError):
        call()
    assert stacks(spans) == ["0", *["(0)"] * 11]
    for span in spans.finished:
        log = log_of(span)
        assert (log["error.kind"], log["message"]) == ("LookupError", "no valid host")
        assert span.stop_info == {"etype": "LookupError", "message": "no valid host"}
        assert span.own_tags["error"] is True
    assert "in fail\n    raise LookupError" in log_of(spans.finished[0])["stack"]


def test_points_left_open_on_the_way_change_nothing(spans: SpanKeeper) -> None:
    call: Callable[[], Any] = function(0, fail)
    for number in range(1, 5):
        call = left_open(number, call)
    with pytest.raises(LookupError):
        call()
    spans.finished = [span for span in spans.finished if span.name != "bare"]
    assert stacks(spans) == ["0", *["(0)"] * 4]


class Slotted(Exception):
    __slots__ = ("code",)


class Immutable(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int = 5


class Hiding(Exception):
    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError


@pytest.mark.parametrize("kind", [Slotted, Immutable, Frozen, Hiding, KeyboardInterrupt])
def test_exceptions_that_take_no_attributes(spans: SpanKeeper, kind: type[BaseException]) -> None:
    def raising() -> None:
        raise kind()

    call: Callable[[], Any] = raising
    for number in range(3):
        call = function(number, call)
    with contextlib.suppress(kind):
        call()
    assert stacks(spans) == ["0", "(0)", "(0)"]


def test_an_exception_shows_its_text_once(spans: SpanKeeper) -> None:
    asked: list[int] = []

    class Told(Exception):
        def __str__(self) -> str:
            asked.append(1)
            return "told"

    def raising() -> None:
        raise Told

    call: Callable[[], Any] = raising
    for number in range(10):
        call = function(number, call)
    with pytest.raises(Told):
        call()
    assert len(asked) == 1
    assert all(span.stop_info and span.stop_info["message"] == "told" for span in spans.finished)


# One instance, raised again

ALWAYS = LookupError("one instance for all")


def raise_always() -> None:
    raise ALWAYS


def test_an_instance_raised_in_another_request_has_its_stack_there() -> None:
    with kept_spans() as spans:
        for _ in range(3):
            profiler.init("key")
            with contextlib.suppress(LookupError):
                function(1, function(0, raise_always))()
            profiler.clean()
    assert stacks(spans) == ["0", "(0)"] * 3


def test_an_instance_raised_by_siblings_has_its_stack_in_each(spans: SpanKeeper) -> None:
    def twice() -> None:
        with contextlib.suppress(LookupError):
            function(0, raise_always)()
        function(1, raise_always)()

    with contextlib.suppress(LookupError):
        function(2, twice)()
    assert stacks(spans) == ["0", "1", "(1)"]


def test_another_exception_at_the_same_address_has_a_stack(spans: SpanKeeper) -> None:
    addresses: list[int] = []

    def made() -> LookupError:
        fault = LookupError("x")
        addresses.append(id(fault))
        return fault

    @profiler.trace("inner")
    def inner() -> None:
        raise made()

    @profiler.trace("outer")
    def outer() -> None:
        with contextlib.suppress(LookupError):
            inner()
        raise made()

    for _ in range(200):
        with contextlib.suppress(LookupError):
            outer()
    again = sum(one == other for one, other in zip(addresses[::2], addresses[1::2], strict=True))
    assert again, "the interpreter never gave an address anew: this test saw nothing"
    assert all("stack" in log_of(span) for span in spans.finished)


def test_neither_the_exception_nor_its_frames_are_kept(spans: SpanKeeper) -> None:
    class Item:
        pass

    kept: list[Any] = []

    def made() -> LookupError:
        fault = LookupError("x")
        fault.item = Item()  # type: ignore[attr-defined]
        kept.append(weakref.ref(fault.item))  # type: ignore[attr-defined]
        return fault

    def inner() -> None:
        local = Item()
        kept.append(weakref.ref(local))
        raise made()

    gc.disable()
    try:
        with profiler.Trace("outer"):
            with contextlib.suppress(LookupError):
                function(1, function(0, inner))()
            assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()


def test_an_exception_without_its_traceback_is_rendered_anew(spans: SpanKeeper) -> None:
    def cut() -> None:
        try:
            function(0, fail)()
        except LookupError as fault:
            raise fault.with_traceback(None) from None

    with contextlib.suppress(LookupError):
        block(1, cut)()  # no code in common with the inner point: Python may give its entries the ids of the old ones
    assert stacks(spans) == ["0", "1"]
    assert "in cut" in log_of(spans.finished[1])["stack"]


# What a stack holds


def rendered(fault: BaseException) -> str:
    return faults.stack(fault, str(fault), None)


def test_causes_and_contexts_are_told(spans: SpanKeeper) -> None:
    def handling(direct: bool) -> None:
        try:
            fail()
        except LookupError as fault:
            if direct:
                raise ValueError("second") from fault
            raise ValueError("second")  # noqa: B904

    for direct, told in ((True, "direct cause"), (False, "During handling")):
        with pytest.raises(ValueError) as raised:
            handling(direct)
        stack = rendered(raised.value)
        assert stack.index("LookupError: no valid host") < stack.index(told) < stack.index("ValueError: second")
        assert stack.count("Traceback (most recent call last)") == 2


def test_a_cause_that_a_point_inside_has_recorded_is_not_rendered_again(spans: SpanKeeper) -> None:
    def translate() -> None:
        try:
            function(0, fail)()
        except LookupError as fault:
            raise ValueError("translated") from fault

    with contextlib.suppress(ValueError):
        function(1, translate)()
    inner, outer = spans.finished
    stack = log_of(outer)["stack"]
    assert f"LookupError: no valid host\n  (its stack is in span {inner.span_id:016x})" in stack
    assert "in fail" not in stack
    assert "in translate" in stack


def test_an_exception_that_is_translated_at_each_level_costs_each_level_its_own_frames(spans: SpanKeeper) -> None:
    def translating(number: int, inner: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            try:
                inner()
            except LookupError as fault:
                raise LookupError(f"at {number}") from fault

        return function(number, run)

    call: Callable[[], Any] = fail
    for number in range(60):
        call = translating(number, call)
    with contextlib.suppress(LookupError):
        call()
    sizes = [len(log_of(span)["stack"]) for span in spans.finished]
    assert max(sizes[1:]) < 2 * min(sizes[1:])


def test_a_stack_is_bounded() -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise ValueError("x" * 100_000)

    chained: BaseException | None = None
    for _ in range(100):
        try:
            try:
                deep(100)
            except ValueError as fault:
                raise LookupError("y" * 100_000) from (chained or fault)
        except LookupError as fault:
            chained = fault
    assert chained is not None
    stack = rendered(chained)
    assert len(stack) <= faults.MAX_STACK_CHARS
    chained.__cause__ = chained.__context__ = None
    assert rendered(chained).count("  File ") <= faults.STACK_FRAMES


def test_a_ring_of_causes_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert rendered(one).count("ValueError") == 2


class Group(Exception):
    """As the groups of Python 3.11, and of packages before it, show their members."""

    def __init__(self, message: str, exceptions: tuple[BaseException, ...]) -> None:
        super().__init__(message)
        self.exceptions = exceptions


def test_the_members_of_a_group_are_told_and_bounded() -> None:
    def raised(number: int) -> BaseException:
        try:
            raise LookupError(f"member {number}")
        except LookupError as fault:
            return fault

    small = rendered(Group("few", (raised(1), Group("nested", (raised(2), raised(3))))))
    assert all(f"LookupError: member {number}" in small for number in (1, 2, 3))
    large = rendered(Group("many", tuple(raised(number) for number in range(1000))))
    assert large.count("LookupError: member") < faults.MAX_EXCEPTIONS
    assert f"({1000 - faults.MAX_EXCEPTIONS + 1} more)" in large


def test_source_lines_are_looked_up_for_a_short_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SOURCE_NS", -1)
    with pytest.raises(LookupError) as raised:
        fail()
    stack = rendered(raised.value)
    assert "in fail\n" in stack
    assert "    raise LookupError" not in stack


def test_notes_are_kept() -> None:
    fault = ValueError("bad")
    fault.__notes__ = ["first", 5, *["more"] * 1000]  # type: ignore[attr-defined]
    assert rendered(fault).startswith("ValueError: bad\nfirst\n5\nmore\n")
    assert rendered(fault).count("more") < 10
