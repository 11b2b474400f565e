# SPDX-License-Identifier: Apache-2.0
"""Twice the spans are about twice the work, in every report and for every shape of trace; counted, not timed."""

import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from osprofiler import reports
from osprofiler.records import deep_json
from osprofiler.testing.records import TRACE, point, record


def wide(count: int) -> list[tuple[int, int, int]]:
    """(parent, start, end) of every span: all in one."""
    return [(0, 0, 4 * count), *((1, 2 * i, 2 * i + 1) for i in range(1, count))]


def deep(count: int) -> list[tuple[int, int, int]]:
    return [(i, i, 4 * count - i) for i in range(count)]


def bushy(count: int) -> list[tuple[int, int, int]]:
    """Ten children to each, which overlap."""
    return [(0, 0, 4 * count), *((i // 10 + 1, i, 4 * count - i) for i in range(1, count))]


def looped(count: int) -> list[tuple[int, int, int]]:
    """Every span is under the one after it, and the last under the first."""
    return [((i + 1) % count + 1, i, i + 5) for i in range(count)]


SHAPES = [wide, deep, bushy, looped]


def records(shape: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    found = []
    for number, (parent, start, end) in enumerate(shape, 1):
        joins = {"links": [["follows_from", TRACE, point(number // 2)]]} if number % 5 == 0 else {}
        host = f"host {number % 3}"
        found.append(record(number, "start", start, parent=parent, host=host))
        found.append(record(number, "stop", end, parent=parent, host=host, osprofiler=joins))
    return found


def drained(pieces: Iterable[Any]) -> None:
    deque(pieces, maxlen=0)


WORK: dict[str, Callable[[reports.Trace], Any]] = {
    "report": lambda trace: drained(reports.report_text(reports.to_report(trace))),
    "report, read again": lambda trace: reports.from_report(reports.to_report(trace)),
    "html": lambda trace: drained(reports.html_text(trace)),
    "tree": lambda trace: drained(reports.tree_lines(trace, reports.Style())),
    "dot": lambda trace: drained(reports.dot_text(trace)),
    "jaeger": lambda trace: drained(reports.jaeger_text(trace)),
    "perfetto": lambda trace: drained(reports.perfetto_text(trace)),
    "speedscope": lambda trace: drained(reports.speedscope_text(trace)),
    "records": lambda trace: drained(reports.records_of(trace)),
    "critical path": lambda trace: reports.find_critical_path(trace).shares(),
    "critical path of the whole": lambda trace: reports.find_critical_path(trace, whole=True).shares(),
    "clocks": reports.correct_clocks,
    "statistics": lambda trace: reports.statistics_of([trace]),
    "profile": lambda trace: reports.profile_of(trace, reports.Steps()),
    "comparison": lambda trace: reports.compare(trace, trace),
}


def calls(work: Callable[[], Any]) -> int:
    """How many functions *work* calls, those written in C among them."""
    count = 0

    def counted(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_building_the_model(shape: Callable[[int], Any]) -> None:
    small, large = (records(shape(count)) for count in (1_000, 2_000))
    assert calls(lambda: reports.from_records(large)) <= 2.5 * calls(lambda: reports.from_records(small))


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_report(shape: Callable[[int], Any], name: str) -> None:
    small, large = (reports.from_records(records(shape(count))) for count in (1_000, 2_000))
    assert calls(lambda: WORK[name](large)) <= 2.5 * calls(lambda: WORK[name](small))


def test_a_work_that_grows_faster_is_noticed() -> None:
    def quadratic(count: int) -> int:
        return calls(lambda: [abs(i) for i in range(count) for _ in range(count)])

    assert quadratic(200) > 2.5 * quadratic(100)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [wide, deep], ids=lambda shape: shape.__name__)
def test_a_large_trace_goes_every_way(shape: Callable[[int], Any]) -> None:
    trace = reports.from_records(records(shape(20_000)))
    text = "".join(reports.report_text(reports.to_report(trace)))
    assert len(reports.from_report(deep_json.loads(text)).spans) == 20_000
    for work in WORK.values():
        work(trace)
    assert sum(part.duration_us for part in reports.find_critical_path(trace).sections) > 0
