# SPDX-License-Identifier: Apache-2.0
"""Ids, values and records: properties that hold for any input."""

import datetime
import enum
import json
import math
import os
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler.context import values
from osprofiler.context.origin import Origin
from osprofiler.context.rendering import MAX_DEPTH
from osprofiler.records import ids, record
from osprofiler.records.flattening import flatten, unflatten

# Ids

uuids = st.integers(1, (1 << 128) - 1)
spans = st.integers(1, (1 << 64) - 1)


@given(uuids)
def test_a_base_id_is_the_trace_id(value: int) -> None:
    text = ids.uuid_text(value)
    assert text == str(uuid.UUID(int=value))
    assert ids.trace_id_of(text) == ids.trace_id_of(text.upper()) == value


@given(uuids, spans)
def test_a_points_uuid_and_its_span_id_are_mapped_reversibly(trace_id: int, span_id: int) -> None:
    point = ids.point_uuid(ids.point_prefix(trace_id), span_id)
    assert uuid.UUID(point).int == (trace_id >> 64 << 64) + span_id
    assert ids.span_id_of(point) == span_id


@given(st.text())
def test_text_that_is_no_uuid_maps_to_stable_ids(text: str) -> None:
    assert 0 < ids.trace_id_of(text) < 1 << 128
    assert 0 < ids.span_id_of(text) < 1 << 64
    assert ids.trace_id_of(text) == ids.trace_id_of(text)


def test_ids_of_the_zero_uuid_and_of_a_zero_low_half_are_not_zero() -> None:
    assert ids.trace_id_of(str(uuid.UUID(int=0)))
    assert ids.span_id_of(str(uuid.UUID(int=5 << 64)))


def test_new_ids_differ_in_a_forked_child() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, f"{ids.new_span_id()} {ids.new_trace_id()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 200).decode().split()
    os.close(read)
    os.close(write)
    assert set(theirs).isdisjoint({str(ids.new_span_id()), str(ids.new_trace_id())})
    assert ids.new_trace_id() & (1 << 64) - 1


@given(st.none() | st.text(), st.none() | st.text())
def test_what_init_takes_is_kept_verbatim(base_id: str | None, parent_id: str | None) -> None:
    origin = Origin.from_osprofiler("key", base_id, parent_id)
    if base_id:
        assert origin.base_id == base_id
    assert origin.trace_id == ids.trace_id_of(origin.base_id)
    if parent_id and parent_id != origin.base_id:
        assert (origin.parent_id, origin.parent_span_id) == (parent_id, ids.span_id_of(parent_id))
    else:
        assert (origin.parent_id, origin.parent_span_id) == (None, 0)


def test_a_foreign_root_whose_span_id_is_the_low_half_of_its_trace_id_is_a_parent() -> None:
    trace_id = 0x1111_2222_3333_4444_5555_6666_7777_8888
    origin = Origin.from_ids(trace_id, trace_id & (1 << 64) - 1)
    assert origin.parent_span_id == 0x5555_6666_7777_8888
    assert origin.parent_id == origin.base_id  # the UUIDs are the same; whether there is a parent is told apart
    assert Origin.from_ids(trace_id, 0).parent_id is None


def test_a_64_bit_foreign_trace() -> None:
    origin = Origin.from_ids(0xABC, 0xDEF)
    assert origin.base_id == "00000000-0000-0000-0000-000000000abc"
    assert origin.parent_id == "00000000-0000-0000-0000-000000000def"
    assert ids.trace_id_of(origin.base_id) == 0xABC


# Values


class Raising:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class LyingClass:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Text(str):
    def __len__(self) -> int:
        return 1

    def isascii(self) -> bool:
        return True


class SaysText:
    def __str__(self) -> str:
        return Text("sub\ud800class")


class BrokenDict(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class EndlessDict(dict[Any, Any]):
    def items(self) -> Any:
        while True:
            yield "", ""


class EndlessList(list[Any]):
    def __iter__(self) -> Any:
        while True:
            yield None


def cyclic() -> list[Any]:
    loop: list[Any] = [1]
    loop += [loop, {"again": loop}]
    return loop


def deep() -> Any:
    value: Any = "bottom"
    for _ in range(2000):
        value = [value]
    return value


def wide() -> Any:
    row: Any = ["x" * 100] * 100
    for _ in range(10):
        row = [row] * 100
    return row


HOSTILE: list[Callable[[], Any]] = [
    Raising,
    LyingClass,
    SaysText,
    BrokenDict,
    lambda: EndlessDict(a=1),
    lambda: EndlessList([1]),
    cyclic,
    deep,
    wide,
    lambda: Text("\0" * 5000),
    lambda: "\ud800\0é" * 10_000,
    lambda: b"\xff\0" * 10_000,
    lambda: 10**5000,
    lambda: -(1 << 63) - 1,
    lambda: [math.nan, math.inf, -math.inf],
    lambda: {Raising(): Raising(), 1: 2, None: 3, "1": 4},
    lambda: {"x" * 10_000: "y" * 10_000},
    lambda: {index: index for index in range(100_000)},
    lambda: [object] * 100_000,
    lambda: datetime.datetime(2026, 11, 20),
    lambda: enum.IntEnum("Colour", "RED").RED,  # type: ignore[attr-defined]
]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Raising)
    | st.builds(SaysText)
    | st.builds(Text, st.text()),
    lambda children: (
        st.lists(children)
        | st.tuples(children)
        | st.dictionaries(st.text() | st.integers() | st.builds(Raising), children)
    ),
    max_leaves=20,
)

LIMIT = 2000


def assert_plain(value: Any) -> int:
    """Whether *value* holds nothing of the application's; its size in characters."""
    if type(value) is dict:
        for key in value:
            assert type(key) is str
        return sum(assert_plain(key) + assert_plain(item) for key, item in value.items())
    if type(value) is list:
        return sum(map(assert_plain, value))
    assert type(value) in (str, int, float, bool, type(None))
    if type(value) is str:
        assert "\0" not in value
        return len(value.encode().decode())
    if type(value) is float:
        assert math.isfinite(value)
    return 1


@given(anything)
def test_whatever_is_frozen_is_plain_bounded_json(value: Any) -> None:
    frozen = values.Budget(LIMIT).freeze(value)
    assert assert_plain(frozen) < 2 * LIMIT
    assert json.loads(json.dumps(frozen, allow_nan=False)) == frozen


@pytest.mark.parametrize("make", HOSTILE)
def test_hostile_info_is_frozen(make: Callable[[], Any]) -> None:
    for info in (make(), {"value": make(), "well": 1}):
        frozen = values.Budget(LIMIT).freeze_info(info)
        assert type(frozen) is dict
        assert assert_plain(frozen) < 2 * LIMIT
    json.dumps(frozen, allow_nan=False)


def test_one_bad_value_hides_no_other() -> None:
    frozen = values.Budget(LIMIT).freeze_info(
        {"a": 1, "bad": Raising(), "broken": BrokenDict(), "big": 10**5000, "z": 2}
    )
    assert (frozen["a"], frozen["z"]) == (1, 2)
    assert frozen["bad"] == "<unprintable Raising: RuntimeError>"
    assert "BrokenDict" in frozen["broken"]


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=50), st.text("ab", max_size=50)
    )
)
def test_plain_info_is_unchanged(info: dict[str, str]) -> None:
    assert values.Budget(1 << 20).freeze_info(info) == info


plain = st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.integers(), max_size=2)
names_of_items = st.sampled_from(["a", "b", "http.url", "\u00e9", "a\0b", 7])
mappings = st.dictionaries(
    names_of_items,
    st.recursive(plain, lambda inner: st.dictionaries(names_of_items, inner, max_size=4), max_leaves=12),
)


@given(mappings, st.integers(0, 3000))
def test_a_plain_copy_is_what_a_budget_makes(info: dict[Any, Any], room: int) -> None:
    values.bounded_copy(info, LIMIT)  # makes names usual
    copy = values.plain_copy(info, room)
    assert copy is None or copy == values.bounded_copy(info, room)


def test_a_plain_copy_has_copies_of_inner_mappings() -> None:
    info = {"request": {"path": "/", "method": "GET"}}
    values.bounded_copy(info, LIMIT)
    copy = values.plain_copy(info, LIMIT)
    assert copy is not None
    info["request"]["path"] = "changed later"
    assert copy[0] == {"request": {"path": "/", "method": "GET"}}
    assert values.plain_copy(info, LIMIT, MAX_DEPTH) is None


def test_plain_values_keep_their_types() -> None:
    value = {"a": [1, 2.5, True, None, "t"], "b": {"c": (1, 2)}, "d": {3}, "e": b"bytes", "f": 1 << 62}
    frozen = values.Budget(LIMIT).freeze(value)
    assert frozen == {"a": [1, 2.5, True, None, "t"], "b": {"c": [1, 2]}, "d": [3], "e": "bytes", "f": 1 << 62}
    assert frozen["a"][2] is True


def test_members_of_enumerations_are_what_json_makes_of_them() -> None:
    class Word(str, enum.Enum):
        A = "a"

    class Number(enum.IntEnum):
        ONE = 1

    assert values.Budget(LIMIT).freeze([Word.A, Number.ONE]) == json.loads(json.dumps([Word.A, Number.ONE]))


def test_what_is_frozen_does_not_follow_its_source() -> None:
    source: dict[str, Any] = {"a": [1]}
    frozen = values.Budget(LIMIT).freeze_info(source)
    source["a"].append(2)
    source["b"] = 3
    assert frozen == {"a": [1]}


def test_mappings_in_a_mapping_are_copied_to_the_same_depth() -> None:
    values.label("a")
    info: dict[str, Any] = {"a": 1}
    for _ in range(MAX_DEPTH + 2):
        info = {"a": info}
        assert values.frozen_info(info, LIMIT) == values.bounded_copy(info, LIMIT)
    info["a"] = info
    assert values.frozen_info(info, LIMIT) == values.bounded_copy(info, LIMIT)


@given(anything, st.integers(20, 200))
def test_text_is_bounded_and_clean(value: Any, limit: int) -> None:
    for text in (values.text(value, limit), values.representation(value, limit)):
        assert type(text) is str
        assert len(text) <= max(limit, values.MAX_NAME_CHARS)
        assert "\0" not in text
        text.encode()
    assert len(values.label(value)) <= values.MAX_NAME_CHARS


@given(
    st.lists(anything, max_size=4).map(tuple), st.dictionaries(st.from_regex("[a-z]{1,3}", fullmatch=True), anything)
)
def test_arguments_are_bounded_and_clean(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for given_ in (args, kwargs):
        text = values.arguments(given_, 500)
        assert len(text) <= 500
        text.encode()


@given(
    st.lists(st.integers() | st.text("ab'\"\\"), max_size=4).map(tuple), st.dictionaries(st.text("abc"), st.integers())
)
def test_plain_arguments_are_shown_as_python_shows_them(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert values.arguments(args, 10_000) == str(args)
    assert values.arguments(kwargs, 10_000) == str(kwargs)


# Records

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
infos = st.dictionaries(
    st.text(st.sampled_from("ab.~\\é ")),
    st.recursive(leaves, lambda children: st.lists(children) | st.dictionaries(st.text("a.~\\"), children)),
)


@given(infos)
def test_info_becomes_tags_and_comes_back(info: dict[str, Any]) -> None:
    tags = dict(flatten(info, "start"))
    assert all(isinstance(value, (str, bool, int, float)) for value in tags.values())
    back = unflatten({**tags, "starting": 1, "error": True}, "start")
    assert back == info
    assert repr(back) == repr(info) or back == info  # also the order of keys is kept, where it is not sorted
    assert json.dumps(back, sort_keys=True) == json.dumps(info, sort_keys=True)  # True is not 1


@given(st.dictionaries(st.text("start.~\\ab"), leaves))
def test_tags_that_were_not_made_here_are_read_all_the_same(tags: dict[str, Any]) -> None:
    unflatten({f"start.{key}": value for key, value in tags.items()}, "start")


@given(st.integers(0, 4_000_000_000_000_000))
def test_timestamps_keep_microseconds(us: int) -> None:
    assert record.microseconds(record.timestamp(us)) == us


def test_a_timestamp_is_as_stock_writes_it() -> None:
    assert record.timestamp(1_000_000) == "1970-01-01T00:00:01.000000"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cast-start", ("cast", "start")),
        ("a-stop", ("a", "stop")),
        ("neutron-api-stop", ("neutron-api", "stop")),
        ("start-start-start", ("start-start", "start")),
        ("-start", ("", "start")),
    ],
)
def test_only_the_last_part_of_a_name_is_the_phase(name: str, parts: tuple[str, str]) -> None:
    assert record.split_name(name) == parts


def test_many_unusual_names_do_not_keep_the_usual_ones_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_MOST_USUAL", 10)
    for number in range(100):
        values.label(f"name {number}")
    assert len(values.usual) <= 10
    values.label("usual")
    assert "usual" in values.usual
