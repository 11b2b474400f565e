# SPDX-License-Identifier: Apache-2.0
"""With frozen clocks of the process, dates and durations are those of the machine, at every boundary."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from freezegun import freeze_time

from osprofiler import profiler
from osprofiler._runtime import clocks
from osprofiler.tracer.span import Span
from tests.unit.core_kit import SpanKeeper, a_clean_process, kept_spans

FROZEN = "2012-01-14"


@pytest.fixture
def spans() -> Iterator[SpanKeeper]:
    with a_clean_process(), kept_spans() as keeper:
        yield keeper
        profiler.clean()


def one_point(where: str) -> None:
    """A trace with one point and one log. The clocks are frozen during the part *where* of it."""
    frozen = freeze_time(FROZEN)
    steps = [
        lambda: profiler.init("key"),
        lambda: profiler.start("point"),
        lambda: profiler.annotate("half way"),
        profiler.stop,
    ]
    first, last = WHERE[where]
    for number, step in enumerate(steps):
        if number == first:
            frozen.start()
        step()
        if number == last:
            frozen.stop()


WHERE = {
    "nowhere": (-1, -1),
    "everywhere": (0, 3),
    "the point": (1, 3),
    "its start": (1, 1),
    "the log": (2, 2),
    "its end": (3, 3),
    "the trace's begin": (0, 0),
    "all but its end": (0, 2),
}


def check(span: Span, before_us: int, after_us: int) -> None:
    assert span.duration_us is not None
    (at_us, _), *_ = span.own_logs
    times = [before_us, span.start_us, at_us, span.start_us + span.duration_us, after_us]
    assert times == sorted(times)


@pytest.mark.parametrize("where", WHERE)
def test_a_point_is_dated_by_the_machines_clock(spans: SpanKeeper, where: str) -> None:
    before_us = clocks.wall_ns() // 1000 - 2  # what is rounded down may be one less
    one_point(where)
    (span,) = spans.finished
    check(span, before_us, clocks.wall_ns() // 1000 + 2)


def test_the_clocks_are_the_machines_where_the_first_import_is_frozen() -> None:
    code = f"""
from freezegun import freeze_time
import time
before = time.time_ns()
with freeze_time({FROZEN!r}):
    from osprofiler._runtime import clocks
    frozen, tick, fake = clocks.wall_ns(), clocks.tick_ns(), time.time()
assert fake < 1.4e9 < 1.7e9 < before / 1e9 <= frozen / 1e9 <= time.time()
assert tick <= clocks.tick_ns() <= time.perf_counter_ns()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
