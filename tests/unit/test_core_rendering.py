# SPDX-License-Identifier: Apache-2.0
"""The text of arguments and values: as Python shows them, and cut before it is made."""

import array
import collections
import ctypes
import dataclasses
import mmap
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler.context import rendering, values

LIMIT = 2000


class Pair(NamedTuple):
    one: Any
    two: Any


@dataclasses.dataclass
class Box:
    content: Any
    hidden: Any = dataclasses.field(default=None, repr=False)

    @dataclasses.dataclass
    class Inner:
        value: Any


@dataclasses.dataclass
class Own:
    content: Any

    def __repr__(self) -> str:
        return "its own"


class Listed(list[Any]):
    pass


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary(),
    lambda children: (
        st.lists(children)
        | st.lists(children).map(tuple)
        | st.lists(children).map(Listed)
        | st.lists(children).map(collections.deque)
        | st.dictionaries(st.text() | st.integers(), children)
        | st.dictionaries(st.text(), children).map(lambda items: items.values())
        | st.sets(st.integers())
        | st.frozensets(st.text())
        | st.builds(Pair, children, children)
        | st.builds(Box, children, children)
        | st.builds(Box.Inner, children)
        | st.builds(ValueError, children, children)
    ),
    max_leaves=15,
)


@given(plain)
def test_what_fits_is_shown_as_python_shows_it(value: Any) -> None:
    if depth_of(value) <= rendering.MAX_DEPTH:
        assert rendering.shown(value, 100_000) == repr(value)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    elif dataclasses.is_dataclass(value):
        value = list(vars(value).values())
    elif isinstance(value, ValueError):
        value = value.args
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return 0
    return 1 + max(map(depth_of, value), default=0)


class Counted:
    asked = 0

    def __repr__(self) -> str:
        Counted.asked += 1
        return "counted"


WIDE: list[Callable[[list[Any]], Any]] = [
    lambda items: items,
    tuple,
    lambda items: {"key": items},
    lambda items: [[[items]]],
    lambda items: Pair(1, items),
    lambda items: Box(items),
    lambda items: Box([Box.Inner(Pair(items, items))]),
    collections.deque,
    lambda items: collections.OrderedDict(enumerate(items)),
    lambda items: dict(enumerate(items)).values(),
    ValueError,
    Listed,
]
MAKERS = [values.text, values.representation, lambda value, limit: values.arguments((value,), limit)]


@pytest.mark.parametrize("wrap", WIDE)
@pytest.mark.parametrize(
    "make", [values.text, values.representation, lambda value, limit: values.arguments((value,), limit)]
)
def test_containers_are_cut_before_they_are_shown(make: Callable[[Any, int], str], wrap: Callable[..., Any]) -> None:
    Counted.asked = 0
    text = make(wrap([Counted() for _ in range(20_000)]), LIMIT)
    assert 0 < Counted.asked < LIMIT
    assert len(text) <= LIMIT
    assert text.endswith("...(cut)")


@pytest.mark.parametrize("freeze", [lambda value: values.Budget(LIMIT).freeze(value)])
def test_what_is_too_deep_for_info_is_cut_before_it_is_shown(freeze: Callable[[Any], Any]) -> None:
    Counted.asked = 0
    value: Any = [Counted() for _ in range(20_000)]
    for _ in range(values.MAX_DEPTH + 1):
        value = [value]
    freeze(value)
    assert 0 < Counted.asked < LIMIT


def test_no_object_is_asked_deeper_than_the_bound() -> None:
    def nested(levels: int) -> Any:
        value: Any = Counted()
        for _ in range(levels):
            value = [value]
        return value

    Counted.asked = 0
    assert rendering.shown(nested(rendering.MAX_DEPTH), LIMIT) == "[" * 8 + f"<{__name__}.Counted>" + "]" * 8
    assert Counted.asked == 0
    assert "counted" in rendering.shown(nested(rendering.MAX_DEPTH - 1), LIMIT)
    assert rendering.shown(nested(20), LIMIT) == "[" * 8 + "[...]" + "]" * 8


def test_slow_objects_are_asked_for_a_short_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "FOREIGN_NS", 1)
    Counted.asked = 0
    text = rendering.shown([Counted(), Counted(), Counted()], LIMIT)
    assert Counted.asked == 1
    assert text == f"[counted, <{__name__}.Counted>, <{__name__}.Counted>]"


def test_containers_in_themselves() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop, "tuple": (loop,)})
    assert rendering.shown(loop, LIMIT) == repr(loop)


def test_a_repr_of_ones_own_counts() -> None:
    assert rendering.shown([Own(1), Box(Own(1))], LIMIT) == "[its own, Box(content=its own)]"
    assert "secret" not in rendering.shown(Box(1, hidden="secret"), LIMIT)


def test_an_exceptions_text_is_cut_before_it_is_made() -> None:
    Counted.asked = 0
    assert len(values.text(ValueError([Counted()] * 20_000), LIMIT)) == LIMIT
    assert 0 < Counted.asked < LIMIT
    assert values.text(ValueError("one"), LIMIT) == str(ValueError("one"))
    assert values.text(ValueError("one", 2), LIMIT) == str(ValueError("one", 2))
    assert values.text(ValueError(), LIMIT) == ""


# Types alone


class Silent:
    def __repr__(self) -> str:
        raise AssertionError("it was asked")

    __str__ = __hash__ = __len__ = __repr__  # type: ignore[assignment]


def test_types_alone_ask_no_object() -> None:
    name = f"{__name__}.Silent"
    assert values.argument_types((Silent(), 1, "x"), LIMIT) == f"({name}, int, str)"
    assert values.argument_types((Silent(),), LIMIT) == f"({name},)"
    assert values.argument_types((), LIMIT) == "()"
    assert values.argument_types({"a": Silent(), "b": None}, LIMIT) == f"{{'a': {name}, 'b': NoneType}}"
    assert len(values.argument_types(tuple([1] * 100_000), LIMIT)) <= LIMIT


# Bytes and numbers

CONTENT = [
    (memoryview(b"abc"), "abc"),
    (memoryview(b"a\xffc"), "a\ufffdc"),
    (memoryview(bytearray(b"abcdef"))[::2], "ace"),
    (bytearray(b"abc"), "abc"),
    (array.array("B", b"abc"), "abc"),
    (array.array("i", [1, -2]), [1, -2]),
    (array.array("d", [1.5, float("inf")]), [1.5, "inf"]),
    (memoryview(array.array("h", [1, 2])), [1, 2]),
    ((ctypes.c_char * 3)(*b"abc"), "abc"),
    ((ctypes.c_int * 2)(1, 2), [1, 2]),
    (memoryview(b"\x05").cast("B", ()), 5),  # as numpy's scalars are
    ([memoryview(b"a"), {"b": memoryview(b"b")}], ["a", {"b": "b"}]),
]


@pytest.mark.parametrize(("value", "content"), CONTENT, ids=lambda value: type(value).__name__)
def test_bytes_and_numbers_are_kept_as_their_content(value: Any, content: Any) -> None:
    assert values.Budget(LIMIT).freeze(value) == content
    assert values.frozen_info({"value": value}, LIMIT)[0] == {"value": content}


def test_mapped_memory_is_kept_as_its_content() -> None:
    with mmap.mmap(-1, 16) as mapped:
        mapped.write(b"abc")
        assert values.Budget(LIMIT).freeze(mapped) == "abc" + "\ufffd" * 13
        mapped.resize(32)  # nothing of ours holds on to it
    assert "unprintable" in values.Budget(LIMIT).freeze(mapped) or "closed" in values.Budget(LIMIT).freeze(mapped)


@pytest.mark.parametrize(
    "value",
    [
        memoryview(b"a" * 1_000_000),
        array.array("B", b"a" * 1_000_000),
        array.array("i", range(1_000_000)),
        (ctypes.c_int * 1_000_000)(),
        memoryview(array.array("i", range(1_000_000))).cast("B").cast("i", (1000, 1000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_ones_are_cut(value: Any) -> None:
    assert len(str(values.Budget(LIMIT).freeze(value))) < 2 * LIMIT
    assert len(values.representation(value, LIMIT)) <= LIMIT
    assert len(values.text(value, LIMIT)) <= LIMIT


def test_ctypes_of_another_kind_are_text() -> None:
    assert "c_int" in values.Budget(LIMIT).freeze(ctypes.c_int(5))


def test_the_text_of_memory_is_its_content() -> None:
    assert values.text([(memoryview(b"abc"),)], LIMIT) == "[(<memory of b'abc'>,)]"
    assert values.arguments((memoryview(b"abc"),), LIMIT) == "(<memory of b'abc'>,)"
