# SPDX-License-Identifier: Apache-2.0
"""`trace` on all kinds of callables: the wrapper has the same kind, and the span lasts as long as the body runs.

The matrix is that of wrapt's tests: function, method, class and static method (decorator inside and outside), nested,
pickled, inspected, partial, callable object, built-in.
"""

import contextlib
import functools
import gc
import inspect
import pickle
import threading
import types
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any, ClassVar

import pytest

from osprofiler import config, profiler
from osprofiler.context import current
from tests.unit.core_kit import Caught, SpanKeeper

pytestmark = pytest.mark.usefixtures("osprofiler_process")

traced = profiler.trace("point", hide_result=False)


@traced
def plain(a: int, b: int = 2, *, c: int = 3) -> int:
    """Its text."""
    return a + b + c


@traced
def counting(limit: int) -> Generator[int, Any, str]:
    got = []
    for index in range(limit):
        got.append((yield index))
    return f"got {got}"


class Thing:
    def __init__(self, value: int) -> None:
        self.value = value

    @traced
    def method(self, a: int) -> int:
        return self.value + a

    @classmethod
    @traced
    def class_inside(cls, a: int) -> tuple[str, int]:
        return cls.__name__, a

    @traced
    @classmethod
    def class_outside(cls, a: int) -> tuple[str, int]:
        return cls.__name__, a

    @staticmethod
    @traced
    def static_inside(a: int) -> int:
        return a

    @traced
    @staticmethod
    def static_outside(a: int) -> int:
        return a

    def __call__(self, a: int) -> int:
        return self.value * a


class Derived(Thing):
    @traced
    def method(self, a: int) -> int:
        return super().method(a) * 10


@pytest.fixture
def records(records: Caught) -> Caught:
    profiler.init("key")
    return records


@pytest.fixture
def spans(spans: SpanKeeper) -> SpanKeeper:
    profiler.init("key")
    return spans


CALLS: list[tuple[str, Callable[[], Any], Any, str, str]] = [
    ("function", lambda: plain(1, c=4), 7, "plain", "((1,), {'c': 4})"),
    ("method", lambda: Thing(5).method(1), 6, "Thing.method", ""),
    ("unbound method", lambda: Thing.method(Thing(5), 1), 6, "Thing.method", ""),
    ("class method, inside", lambda: Thing.class_inside(1), ("Thing", 1), "Thing.class_inside", ""),
    ("class method, outside", lambda: Thing.class_outside(1), ("Thing", 1), "Thing.class_outside", ""),
    ("inherited class method", lambda: Derived.class_outside(1), ("Derived", 1), "Thing.class_outside", ""),
    ("class method of an instance", lambda: Derived(1).class_inside(1), ("Derived", 1), "Thing.class_inside", ""),
    ("static method, inside", lambda: Thing.static_inside(1), 1, "Thing.static_inside", "((1,), {})"),
    ("static method, outside", lambda: Thing(5).static_outside(1), 1, "Thing.static_outside", "((1,), {})"),
    ("partial", lambda: traced(functools.partial(plain, 1))(2), 6, "partial", "((2,), {})"),
    ("callable object", lambda: traced(Thing(5))(3), 15, "Thing", "((3,), {})"),
    ("built-in", lambda: traced(abs)(-3), 3, "abs", "((-3,), {})"),
    ("bound method", lambda: traced(Thing(5).method)(1), 6, "Thing.method", ""),
    ("class", lambda: traced(Thing)(3).value, 3, "Thing", "((3,), {})"),
]


@pytest.mark.parametrize(("call", "result", "name", "shown"), [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_each_kind_of_callable(records: Caught, call: Callable[[], Any], result: Any, name: str, shown: str) -> None:
    assert call() == result
    function = records.starts[0]["info"]["function"]
    assert function["name"].endswith(name)
    if shown:
        assert f"({function['args']}, {function['kwargs']})" == shown
    assert len(records.starts) == len(records.stops) > 0
    profiler.clean()
    count = len(records)
    assert call() == result  # without a trace, the function is not recorded
    assert len(records) == count


def test_super_and_nested_points(records: Caught) -> None:
    assert Derived(5).method(1) == 60
    assert records.paths() == ["point", "point/point"]


@pytest.mark.parametrize("f", [plain, Thing.method, Thing.class_outside, Thing.static_inside, counting])
def test_what_can_be_inspected_is_kept(f: Any) -> None:
    bare = inspect.unwrap(f)
    assert bare is not inspect.unwrap(f, stop=lambda _: True) or inspect.ismethod(f)
    assert (f.__name__, f.__qualname__, f.__module__) == (bare.__name__, bare.__qualname__, bare.__module__)
    assert inspect.signature(f, follow_wrapped=True) is not None
    assert inspect.isgeneratorfunction(f) is inspect.isgeneratorfunction(bare)


def test_signature_and_documentation() -> None:
    assert str(inspect.signature(plain)) == "(a: int, b: int = 2, *, c: int = 3) -> int"
    assert list(inspect.signature(Thing(1).method).parameters) == ["a"]
    assert plain.__doc__ == "Its text."


def test_the_nature_of_asynchronous_functions_is_kept() -> None:
    async def coroutine() -> None: ...

    async def generator() -> Any:
        yield

    assert inspect.iscoroutinefunction(traced(coroutine))
    assert inspect.isasyncgenfunction(traced(generator))
    assert not inspect.iscoroutinefunction(traced(generator))
    assert not inspect.iscoroutinefunction(plain)


def test_functions_and_methods_are_pickled() -> None:
    for subject in (plain, counting, Thing.class_inside, Thing.class_outside, Thing.static_outside):
        assert pickle.loads(pickle.dumps(subject)) == subject
    assert pickle.loads(pickle.dumps(Thing(5))).method(1) == 6
    assert pickle.loads(pickle.dumps(Thing(5).method))(1) == 6


def test_multiple_traces() -> None:
    def f() -> None: ...

    once: Any = traced(f)
    assert once.__traced__ == 1
    twice: Any = traced(once)
    assert twice.__traced__ == 2
    with pytest.raises(ValueError, match="traced already"):
        profiler.trace("again", allow_multiple_trace=False)(once)
    with pytest.raises(ValueError, match="'method'"):
        profiler.trace_cls("again", allow_multiple_trace=False)(Thing)
    assert Thing.method.__traced__ == 1  # type: ignore[attr-defined]


def test_hidden_arguments_and_results(records: Caught) -> None:
    profiler.trace("both", hide_args=True)(lambda secret: secret)("pass")
    shown = profiler.trace("none", info={"more": 1}, hide_result=False)(lambda word: word)
    shown("word")
    assert "args" not in records.start_of("both")["info"]["function"]
    assert "function" not in records.stop_of("both")["info"]
    assert records.start_of("none")["info"]["more"] == 1
    assert records.start_of("none")["info"]["function"]["args"] == "('word',)"
    assert records.stop_of("none")["info"]["function"]["result"] == "'word'"


class Untouched:
    """An object whose text must not be requested."""

    def __repr__(self) -> str:
        raise AssertionError("it was asked")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("types", {"args": f"({__name__}.Untouched, int)", "kwargs": f"{{'c': {__name__}.Untouched}}"}),
        ("none", {}),
    ],
)
def test_arguments_and_results_are_kept_as_the_configuration_says(
    records: Caught, kept: str, shown: dict[str, str]
) -> None:
    subject: Any = profiler.trace("shown", hide_result=False)(lambda a, b, c: a)
    hidden: Any = profiler.trace("hidden", hide_args=True)(lambda a: a)
    config.publish(trace_arguments=kept)
    subject(Untouched(), 1, c=Untouched())
    hidden(Untouched())
    function = records.start_of("shown")["info"]["function"]
    assert {key: value for key, value in function.items() if key != "name"} == shown
    result = {"function": {"result": f"{__name__}.Untouched"}} if kept == "types" else {}
    assert {key: value for key, value in records.stop_of("shown")["info"].items() if key == "function"} == result
    assert set(records.start_of("hidden")["info"]["function"]) == {"name"}
    config.publish(trace_arguments="full")
    subject(1, 2, c=3)
    assert records.starts[-1]["info"]["function"]["args"] == "(1, 2)"


# Faults


class Odd(BaseException):
    pass


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, Odd])
def test_the_same_exception_comes_out(records: Caught, kind: type[BaseException]) -> None:
    fault = kind("why")

    @traced
    def fail() -> None:
        raise fault

    raised: BaseException | None = None
    try:
        fail()
    except BaseException as caught:
        raised = caught
    assert raised is fault
    assert records.stops[0]["info"]["etype"].endswith(kind.__name__)


def test_arguments_that_cannot_be_shown(records: Caught) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("mute")

    class Lying:
        def __repr__(self) -> Any:
            return 5

    @traced
    def f(*args: Any, **kwargs: Any) -> Any:
        return args[0]

    mute = Mute()
    assert f(mute, 1, Lying(), word="x") is mute
    start, stop = records
    assert start["info"]["function"]["args"] == "(<unprintable Mute: RuntimeError>, 1, <unprintable Lying: TypeError>)"
    assert start["info"]["function"]["kwargs"] == "{'word': 'x'}"
    assert stop["info"]["function"]["result"] == "<unprintable Mute: RuntimeError>"


def test_a_result_whose_text_ends_the_program_leaves_no_point_open(records: Caught) -> None:
    class Exiting:
        def __repr__(self) -> str:
            raise SystemExit

    @traced
    def f() -> Any:
        return Exiting()

    above = current.point.get()
    with pytest.raises(SystemExit):
        f()
    assert current.point.get() is above
    assert len(records.stops) == 1


def test_large_arguments_are_cut_before_they_are_shown(records: Caught) -> None:
    shown: list[int] = []

    class Item:
        def __repr__(self) -> str:
            shown.append(1)
            return "item"

    @profiler.trace("f")
    def f(*args: Any) -> None: ...

    f([Item()] * 1_000_000, "x" * 10_000_000, {index: index for index in range(100_000)})
    assert len(shown) < 20_000
    text = records[0]["info"]["function"]["args"]
    assert len(text) <= 16_384
    assert text.endswith("...(cut)")


def test_an_argument_is_shown_as_it_was_at_the_call(records: Caught) -> None:
    @traced
    def f(items: list[int]) -> list[int]:
        items.append(2)
        return items

    result = f([1])
    result.append(3)
    assert records[0]["info"]["function"]["args"] == "([1],)"
    assert records[1]["info"]["function"]["result"] == "[1, 2]"


# Generators


def test_a_generator_is_open_from_its_first_resume_to_its_end(records: Caught) -> None:
    running = counting(2)
    assert records == []
    assert next(running) == 0
    assert records.paths() == ["point!"]
    with profiler.Trace("between"):  # the generator's point is not current here: the generator is suspended
        assert running.send("x") == 1
    with pytest.raises(StopIteration) as stop:
        running.send("y")
    assert stop.value.value == "got ['x', 'y']"
    assert records.paths() == ["point", "between"]
    assert "got ['x', 'y']" in records.stop_of("point")["info"]["function"]["result"]


def test_a_generator_never_resumed_makes_no_point(records: Caught) -> None:
    running = counting(2)
    running.close()
    del running
    gc.collect()
    assert records == []


def test_points_inside_a_generator_are_inside_it(records: Caught) -> None:
    @profiler.trace("outer")
    def body() -> Iterator[int]:
        profiler.start("inner")
        yield 1
        with profiler.Trace("innermost"):
            yield 2
        profiler.stop()

    with profiler.Trace("caller"):
        for _ in body():
            with profiler.Trace("loop"):
                pass
    assert records.paths() == [
        "caller",
        "caller/outer",
        "caller/outer/inner",
        "caller/loop",
        "caller/outer/inner/innermost",
        "caller/loop",
    ]


def test_two_interleaved_generators(records: Caught) -> None:
    @profiler.trace("g")
    def body(name: str) -> Iterator[None]:
        with profiler.Trace(name):
            yield
            with profiler.Trace(f"in {name}"):
                yield

    one, two = body("one"), body("two")
    for running in (one, two, one, two):
        next(running)
    assert list(two) == list(one) == []
    assert sorted(records.paths()) == ["g", "g", "g/one", "g/one/in one", "g/two", "g/two/in two"]


@pytest.mark.parametrize("leave", ["close", "forget", "another thread"])
def test_a_generator_left_half_way_ends_when_it_is_closed(records: Caught, leave: str) -> None:
    running: Any = counting(5)
    next(running)
    if leave == "close":
        running.close()
    elif leave == "forget":
        del running
        gc.collect()
    else:
        thread = threading.Thread(target=running.close)
        thread.start()
        thread.join()
    assert records.paths() == ["point"]
    assert "etype" not in records.stop_of("point")["info"]


def test_a_generator_resumed_in_another_thread_leaves_nothing_there(records: Caught) -> None:
    seen: list[Any] = []

    @profiler.trace("g")
    def body() -> Iterator[None]:
        yield
        with profiler.Trace("inside"):
            seen.append(profiler.get() is not None)
            yield

    running = body()
    next(running)

    def resume() -> None:
        next(running)
        seen.append(profiler.get())

    thread = threading.Thread(target=resume)
    thread.start()
    thread.join()
    assert list(running) == []
    assert seen == [True, None]
    assert records.paths() == ["g", "g/inside"]


def test_clean_between_two_resumes(records: Caught) -> None:
    running = counting(2)
    next(running)
    profiler.clean()
    assert list(running) == [1]
    assert profiler.get() is None
    assert records.paths() == ["point"]


def test_throw_into_a_generator() -> None:
    caught: list[BaseException] = []

    @traced
    def body() -> Iterator[int]:
        try:
            yield 1
        except ValueError as fault:
            caught.append(fault)
        yield 2

    fault = ValueError("thrown")
    running: Any = body()
    next(running)
    assert running.throw(fault) == 2
    assert caught == [fault]
    last = KeyError("last")
    with pytest.raises(KeyError) as raised:
        running.throw(last)
    assert raised.value is last


def test_throw_into_a_generator_is_recorded(records: Caught) -> None:
    running = counting(3)
    next(running)
    with pytest.raises(KeyError):
        running.throw(KeyError("x"))
    assert records.stop_of("point")["info"]["etype"] == "KeyError"


def test_yield_from_a_traced_generator(records: Caught) -> None:
    def outer() -> Generator[int, Any, str]:
        return (yield from counting(1))

    running = outer()
    next(running)
    with pytest.raises(StopIteration) as stop:
        running.send("z")
    assert stop.value.value == "got ['z']"
    assert records.paths() == ["point"]


def test_a_suspended_generator_keeps_nothing_alive(records: Caught) -> None:
    class Item:
        pass

    @profiler.trace("g", hide_args=True)
    def body(first: Any) -> Generator[Any, Any, None]:
        del first
        while True:
            item = Item()
            got = yield item
            del item, got

    argument, sent = Item(), Item()
    gone = [weakref.ref(argument), weakref.ref(sent)]
    running = body(argument)
    del argument
    gone.append(weakref.ref(next(running)))
    running.send(sent)
    del sent
    gc.disable()
    try:
        assert [ref() for ref in gone] == [None, None, None]
    finally:
        gc.enable()
    running.close()


def test_an_exception_that_passes_through_is_freed_at_once(records: Caught) -> None:
    class Item:
        pass

    def fault_with(item: Item) -> ValueError:
        fault = ValueError()
        fault.item = item  # type: ignore[attr-defined]
        return fault

    def go() -> "weakref.ref[Item]":
        item = Item()
        running = counting(1)
        next(running)
        with contextlib.suppress(ValueError):
            running.throw(fault_with(item))
        return weakref.ref(item)

    gc.disable()
    try:
        assert go()() is None
    finally:
        gc.enable()


def test_an_old_style_coroutine_stays_awaitable(records: Caught) -> None:
    @profiler.trace("old")
    @types.coroutine
    def pause() -> Generator[str, str, str]:
        return (yield "paused")

    async def main() -> str:
        return await pause()

    running = main()
    assert running.send(None) == "paused"
    with pytest.raises(StopIteration) as stop:
        running.send("resumed")
    assert stop.value.value == "resumed"
    assert records.paths() == ["old"]


# Classes


def points_of(make: Callable[[], object], names: list[str], records: Caught) -> list[str]:
    """The names in *names* whose call makes a point."""
    traced = []
    for name in names:
        before = len(records)
        getattr(make(), name)()
        if len(records) > before:
            traced.append(name)
    return traced


def make_class() -> type:
    class Base:
        def inherited(self) -> None: ...

    class Subject(Base):
        __trace_args__: ClassVar[dict[str, Any]] = {"name": "cls"}

        def public(self) -> None: ...

        def _private(self) -> None: ...

        def __very(self) -> None: ...

        @classmethod
        def class_method(cls) -> str:
            return cls.__name__

        @staticmethod
        def static_method() -> int:
            return 5

    return Subject


NAMES = ["inherited", "public", "_private", "_Subject__very", "class_method", "static_method"]


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, ["inherited", "public"]),
        ({"trace_private": True}, ["inherited", "public", "_private", "_Subject__very"]),
        ({"trace_class_methods": True}, ["inherited", "public", "class_method"]),
        ({"trace_static_methods": True}, ["inherited", "public", "static_method"]),
    ],
)
def test_trace_cls(records: Caught, switches: dict[str, Any], expected: list[str]) -> None:
    subject = profiler.trace_cls("cls", **switches)(make_class())
    assert points_of(subject, NAMES, records) == expected
    assert subject.class_method() == "Subject"  # type: ignore[attr-defined]
    assert subject().static_method() == 5  # type: ignore[attr-defined]


def test_trace_cls_leaves_the_base_class_alone(records: Caught) -> None:
    subject = profiler.trace_cls("cls")(make_class())
    subject.__mro__[1]().inherited()
    assert records == []


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, ["inherited", "public"]),
        ({"trace_class_methods": True, "trace_static_methods": True}, [*NAMES[:2], "class_method", "static_method"]),
    ],
)
def test_trace_cls_of_an_object(records: Caught, switches: dict[str, Any], expected: list[str]) -> None:
    kind = make_class()
    subject = kind()
    assert profiler.trace_cls("obj", **switches)(subject) is subject
    assert points_of(lambda: subject, NAMES, records) == expected
    assert (subject.class_method(), subject.static_method()) == ("Subject", 5)  # type: ignore[attr-defined]
    del records[:]
    assert points_of(kind, NAMES, records) == []  # other objects of the class are not traced
    with pytest.raises(ValueError, match=r"'inherited' of .*Subject object"):
        profiler.trace_cls("again", allow_multiple_trace=False)(subject)


def test_traced_meta(records: Caught) -> None:
    class Root(metaclass=profiler.TracedMeta):
        __trace_args__: ClassVar[dict[str, Any]] = {"name": "meta", "trace_private": True, "info": {"a": 1}}

        def public(self) -> None: ...

        def _private(self) -> None: ...

        @classmethod
        def class_method(cls) -> None: ...

        @staticmethod
        def static_method() -> None: ...

    class Leaf(Root):
        def added(self) -> None: ...

    names = ["public", "_private", "class_method", "static_method"]
    assert points_of(Root, names, records) == ["public", "_private"]
    assert points_of(Leaf, ["added", "public"], records) == ["added", "public"]
    assert {record["name"] for record in records} == {"meta-start", "meta-stop"}
    assert records[0]["info"]["a"] == 1
    with pytest.raises(TypeError, match="__trace_args__"):
        profiler.TracedMeta("Bad", (), {})


def test_operation_names_are_the_functions_names(spans: SpanKeeper) -> None:
    plain(1)
    (span,) = spans.finished
    assert span.operation_name == f"{__name__}.plain"
    assert span.name == "point"


def nameless(f: Any) -> Any:
    """Like oslo.messaging's ``expected_exceptions``: its wrapper does not have the name of the function."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    return inner


def make_hidden(kind: type = type) -> type:
    class Base(metaclass=kind):
        __trace_args__: ClassVar[dict[str, Any]] = {"name": "rpc", "trace_private": True}

        @nameless
        def select(self, a: int = 1) -> int:
            return a

        @nameless
        def __private(self) -> None: ...

        @staticmethod
        @nameless
        def static(a: int = 1) -> int:
            return a

        @classmethod
        @nameless
        def of_class(cls) -> str:
            return cls.__name__

    class Manager(Base):
        @nameless
        def own(self) -> None: ...

    return Manager


def names_and_classes(keeper: SpanKeeper, *calls: Callable[[], object]) -> list[tuple[str, str | None]]:
    """The operation of each call's point, and its class tag, both without their common prefix."""
    pairs = []
    for call in calls:
        call()
        span = keeper.finished[-1]
        assert span.start_info["function"]["name"] == span.operation_name
        tag = span.own_tags.get("osprofiler.class")
        pairs.append((span.operation_name, tag))
    return [tuple(text and text.replace(f"{__name__}.make_hidden.<locals>.", "") for text in pair) for pair in pairs]  # type: ignore[misc]


def test_a_method_is_named_by_its_class_whatever_is_around_it(spans: SpanKeeper) -> None:
    options = {"trace_private": True, "trace_class_methods": True, "trace_static_methods": True}
    manager = profiler.trace_cls("rpc", **options)(make_hidden())  # type: ignore[arg-type]
    child = type("Child", (manager,), {"__module__": "elsewhere"})
    it, other = manager(), child()
    inherited = [it.select, it._Base__private, it.static, it.of_class]
    assert names_and_classes(spans, it.own, *inherited, other.own, other.select, child.of_class) == [
        ("Manager.own", None),
        ("Base.select", "Manager"),
        ("Base.__private", "Manager"),
        ("Base.static", None),
        ("Base.of_class", "Manager"),
        ("Manager.own", "elsewhere.Child"),
        ("Base.select", "elsewhere.Child"),
        ("Base.of_class", "elsewhere.Child"),
    ]


def test_so_it_is_with_the_metaclass(spans: SpanKeeper) -> None:
    manager = make_hidden(profiler.TracedMeta)
    it = manager()
    assert names_and_classes(spans, it.own, it.select, manager.__mro__[1]().select) == [
        ("Manager.own", None),
        ("Base.select", "Manager"),
        ("Base.select", None),
    ]


def test_so_it_is_with_an_object(spans: SpanKeeper) -> None:
    it = make_hidden()()
    it.lent = nameless(plain)
    profiler.trace_cls("rpc")(it)
    assert names_and_classes(spans, it.own, it.select, lambda: it.lent(1)) == [
        ("Manager.own", None),
        ("Manager.select", None),
        (f"{__name__}.nameless.<locals>.inner", None),  # only the object has it
    ]


def test_nothing_is_left_current(records: Caught) -> None:
    before = current.point.get()
    for row in CALLS:
        row[1]()
    assert current.point.get() is before
