# SPDX-License-Identifier: Apache-2.0
"""Traces in the order of their beginning, from pages of records; and patterns for the names of services."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler.drivers import places
from osprofiler.drivers.newest_first import Page, newest_first, windows
from osprofiler.drivers.wanted import Wanted
from osprofiler.records.record import timestamp
from osprofiler.reports import model

_TRACES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.sets(st.integers(0, 50), min_size=1))
_PATTERNS = st.text("ab-*?[]!", max_size=6)
_NAMES = st.text("ab-", max_size=3)


@settings(deadline=None)
@given(traces=_TRACES, size=st.integers(1, 10))
def test_the_newest_trace_comes_first_however_long_the_traces_are(traces: dict[str, set[int]], size: int) -> None:
    def pages() -> Iterator[Page]:
        for end in range(51, -size, -size):
            yield Page([each for each in traces if any(end - size <= at < end for at in traces[each])], end - size - 1)

    def marks(base_ids: list[str]) -> Iterable[dict[str, Any]]:
        return [{"base_id": base_id, "timestamp": timestamp(min(traces[base_id]))} for base_id in base_ids]

    listed = list(newest_first(pages(), marks))
    assert sorted(mark["base_id"] for mark in listed) == sorted(traces)
    times = [model.began_us(mark) for mark in listed]
    assert times == sorted(times, reverse=True)


def test_no_page_is_read_before_it_is_needed() -> None:
    read = []

    def pages() -> Iterator[Page]:
        for at_us in (3, 2, 1):
            read.append(at_us)
            yield Page([str(at_us)], at_us - 1)

    marks = newest_first(pages(), lambda ids: [{"base_id": each, "timestamp": timestamp(int(each))} for each in ids])
    assert next(marks)["base_id"] == "3"
    assert read == [3]


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 500)), length=st.integers(1, 100), most=st.integers(1, 9), ahead=st.integers(0, 50)
)
def test_windows_cover_all_times_once(times: list[int], length: int, most: int, ahead: int) -> None:
    def read(begin: int, end: int) -> list[int] | None:
        assert begin < end
        items = [each for each in times if begin <= each < end]
        return items if len(items) <= most or end - begin == 1 else None

    pages = list(windows(0, 501, length, read, most, ahead))
    assert sorted(each for items, _ in pages for each in items) == sorted(times)
    begins = [begin for _, begin in pages]
    assert begins == sorted(begins, reverse=True)
    assert begins[-1] == 0


def test_a_window_is_halved_if_it_holds_too_much_and_doubled_if_little() -> None:
    asked: list[tuple[int, int]] = []

    def read(begin: int, end: int) -> list[int] | None:
        asked.append((begin, end))
        return None if begin < 90 and end - begin > 4 else [1, 2]

    assert [begin for _, begin in windows(80, 110, 5, read, 3, 5)] == [100, 90, 87, 84, 80]
    assert asked == [(100, 110), (90, 100), (80, 90), (85, 90), (87, 90), (81, 87), (84, 87), (80, 84)]


@settings(deadline=None)
@given(pattern=_PATTERNS, project=_NAMES, service=_NAMES)
def test_the_pairs_of_a_pattern_match_what_it_matches(pattern: str, project: str, service: str) -> None:
    if not fnmatchcase(f"{project}-{service}", pattern) or not project or project in service:
        return  # then the service alone is shown
    pairs = list(places.pairs(pattern))
    assert any(fnmatchcase(project, first) and fnmatchcase(service, second) for first, second in pairs)


@settings(deadline=None)
@given(pattern=_PATTERNS, name=_NAMES)
def test_a_loose_pattern_matches_what_the_pattern_matches(pattern: str, name: str) -> None:
    assert fnmatchcase(name, places.loose(pattern)) or not fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("pattern", "pairs"),
    [
        ("nova-api", [("nova", "api")]),
        ("nova-nova-api", [("nova-nova", "api")]),  # not nova and nova-api: this is shown as nova-api
        ("*-api", [("*", "*-api"), ("*", "api")]),
        ("api", []),
        ("[nm]ova-api", [("", "ova-api"), ("?ova", "api")]),
    ],
)
def test_pairs(pattern: str, pairs: list[tuple[str, str]]) -> None:
    assert list(places.pairs(pattern)) == pairs


def test_only_the_literal_name_of_a_service_is_told_exactly() -> None:
    assert places.without_exact(Wanted(service="nova-api")) == Wanted()
    for wanted in (Wanted(service="nova-*"), Wanted(service="nova-api", error=True), Wanted(operation="x")):
        assert places.without_exact(wanted) == wanted
