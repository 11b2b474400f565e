# SPDX-License-Identifier: Apache-2.0
"""Forks and joins of the tracer itself, in the model and on the critical path."""

import threading

from osprofiler import profiler
from osprofiler.records import span_records as bridge
from osprofiler.reports import model, wording
from osprofiler.reports.analysis import critical_path
from tests.unit.span_kit import Recorder, spans  # noqa: F401


def stored(recorder: Recorder) -> model.Trace:
    finished = recorder.finished
    return model.from_records([made_of(span) for span in finished for made_of in (bridge.start, bridge.stop)])


def test_real_branches_on_real_threads(spans: Recorder) -> None:  # noqa: F811
    """The slower one ends after the other, and is joined in a point that was opened after the fork."""
    slow_began, quick_ended = threading.Event(), threading.Event()
    profiler.init("KEY")
    with profiler.Trace("request"):
        fork = profiler.fork("work")

        def slow() -> None:
            slow_began.set()
            assert quick_ended.wait(60)
            with profiler.Trace("within slow"):
                pass

        threads = [
            threading.Thread(target=fork.wrap(slow_began.wait, "quick")),
            threading.Thread(target=fork.wrap(slow, "slow")),
        ]
        with profiler.Trace("finish"):
            for thread in threads:
                thread.start()
            threads[0].join()
            quick_ended.set()
            threads[1].join()
            fork.join()
    profiler.clean()
    trace = stored(spans)
    order = [part.span.operation for part in critical_path.find(trace).sections]
    assert order[:3] == ["request", "slow", "within slow"]
    assert "quick" not in order
    assert order[-3:] in (["finish", "join", "finish"], ["join", "finish", "request"])
    slow_span = next(span for span in trace.spans.values() if span.operation == "slow")
    assert slow_span.fork == "work"


def test_a_join_says_what_became_of_its_branches(spans: Recorder) -> None:  # noqa: F811
    profiler.init("KEY")
    with profiler.Trace("request"):
        fork = profiler.fork("work")
        with fork.branch("ended"):
            pass
        fork.branch("never entered")
        fork.join()
    profiler.clean()
    (join,) = [span for span in stored(spans).spans.values() if span.joined_forks]
    assert (join.joined_forks, join.fates, len(join.links)) == ("work", {"never_entered": 1}, 1)
    assert wording.badges(join) == ["joins 1", "1 never entered"]
