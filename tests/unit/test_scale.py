# SPDX-License-Identifier: Apache-2.0
"""The parts of ``make scale`` that need no server: what the traces are, who begins which, and what counts as lost."""

import itertools
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.scale import feeding, stored
from tools.scale.feed import Result
from tools.scale.shape import DAY_US, FACTOR, LEAST_SPANS, SLOWER, Feed
from tools.scale.stored import Census, Index

DAY = Feed(seed=1, process=0, traces=400, spans=20, start_us=0, end_us=DAY_US)


@given(st.integers(LEAST_SPANS, 200), st.integers(0, 399))
def test_a_trace_has_its_spans_nested_and_in_turn(spans: int, number: int) -> None:
    trace = Feed(seed=2, process=1, traces=400, spans=spans, start_us=5, end_us=DAY_US).trace(number)
    assert len(trace) == spans
    assert [span.above for span in trace].count(-1) == 1
    for place, span in enumerate(trace):
        assert span.above < place
        if place:
            above = trace[span.above]
            assert above.start_us < span.start_us < span.end_us < above.end_us
    for above, siblings in itertools.groupby(sorted(trace, key=lambda span: span.above), lambda span: span.above):
        ordered = list(siblings)
        assert all(one.end_us < other.start_us for one, other in itertools.pairwise(ordered)), above
    call = next(span for span in trace if span.kind == "client")
    assert all(span.called == (span.start_us > call.start_us) for span in trace)


def test_each_process_makes_the_same_traces() -> None:
    assert [DAY.trace(7), DAY.trace(8)] == [DAY.trace(7), Feed(1, 0, 400, 20, 0, DAY_US).trace(8)]
    assert DAY.trace(7) != Feed(2, 0, 400, 20, 0, DAY_US).trace(7)


def test_a_step_is_slower_in_the_second_half_and_some_traces_fail() -> None:
    traces = [DAY.trace(number) for number in range(400)]
    halves = [
        median(span.end_us - span.start_us for trace in some for span in trace if span.operation == SLOWER)
        for some in (traces[:200], traces[200:])
    ]
    assert halves[1] / halves[0] == pytest.approx(FACTOR, rel=0.1)
    failed = [trace for trace in traces if trace[0].failed]
    assert 1 <= len(failed) <= 20
    assert all(trace[-1].failed for trace in failed)
    assert traces[0][0].start_us == 0
    assert DAY_US * 0.99 < traces[-1][0].start_us < DAY_US


@given(st.integers(1, 5_000), st.integers(LEAST_SPANS, 50), st.integers(1, 9))
def test_the_processes_share_the_spans(spans: int, spans_a_trace: int, processes: int) -> None:
    feeds = feeding.feeds(
        spans=spans, spans_a_trace=spans_a_trace, processes=processes, seed=1, start_us=0, end_us=DAY_US
    )
    counts = [feed.traces for feed in feeds]
    assert [feed.process for feed in feeds] == list(range(processes))
    assert max(counts) - min(counts) <= 1
    assert spans <= sum(counts) * spans_a_trace < spans + spans_a_trace


@pytest.mark.parametrize(
    ("counters", "flushed"), [({"dropped.queue_full": 1}, True), ({"waiting": 3}, True), ({"delivered": 5}, False)]
)
def test_a_process_that_lost_a_span_fails_the_feed(counters: dict[str, int], flushed: bool) -> None:
    with pytest.raises(feeding.Failed, match="feeding process 3 did not deliver all its spans"):
        feeding.whole(Result(2, [], counters, 1.0, flushed))
    done = Result(2, [], {"delivered": 5, "dropped.queue_full": 0}, 1.0, True)
    assert feeding.whole(done) is done


def test_the_census_tells_missing_doubled_and_foreign_spans_apart() -> None:
    class Told(Index):
        def traces(self, spans: int):  # type: ignore[no-untyped-def]
            yield from [("a", 20, 20), ("b", 19, 19), ("c", 23, 20), ("other", 20, 20)]

    assert stored.census(Told(""), ["a", "b", "c", "d"], 20) == Census(
        traces=3, whole=2, spans=59, doubled=3, foreign=1
    )
