# SPDX-License-Identifier: Apache-2.0
"""The public helpers for tests: the result of recording(), and the state after it."""

import contextlib
import threading
from typing import Any

import pytest

import osprofiler.testing
from osprofiler import config, notifier, profiler
from osprofiler.context import current
from osprofiler.testing import Recording, recording
from osprofiler.tracer import global_tracer

pytestmark = pytest.mark.usefixtures("osprofiler_process")


def test_a_span_is_told_in_plain_values() -> None:
    with recording() as spans, contextlib.suppress(KeyError), profiler.Trace("outer", info={"server": "s-1"}):
        with profiler.Trace("inner"):
            profiler.annotate("half way", done=1)
        raise KeyError("gone")
    assert spans.names() == ["inner", "outer"]
    assert spans.tree() == [("outer", None), ("inner", "outer")]
    inner, outer = spans.one("inner"), spans.one("outer")
    assert inner.parent_id == outer.point_id
    assert [(reference.kind, reference.point_id) for reference in inner.references] == [("child_of", outer.point_id)]
    assert inner.base_id == outer.base_id == outer.parent_id
    assert [log.fields for log in inner.logs] == [{"event": "half way", "done": 1}]
    assert (inner.error, outer.error) == (None, "KeyError")
    assert outer.info == {"server": "s-1"}
    assert outer.stop_info == {"etype": "KeyError", "message": "'gone'"}
    assert outer.tags == {"error": True}
    assert 0 <= inner.duration_us <= outer.duration_us
    assert spans.unfinished() == []


def test_a_join_references_its_branches() -> None:
    with recording() as spans, profiler.Trace("request"), profiler.fork("workers") as fork:
        threads = [threading.Thread(target=fork.wrap(lambda: None, name)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    joined = {reference.point_id for reference in spans.one("join").references if reference.kind == "follows_from"}
    assert joined == {spans.one("one").point_id, spans.one("two").point_id}


def test_spans_that_are_no_trace_points_are_recorded_too() -> None:
    tracer = global_tracer.get_tracer()
    with recording() as spans, tracer.start_active_span("query", tags={"db.type": "sql", "error": True}):
        pass
    assert (spans.one("query").tags["db.type"], spans.one("query").error) == ("sql", "error")


def test_a_trace_that_is_on_is_continued_and_stays_on() -> None:
    profiler.init("key")
    before = current.point.get()
    with recording() as spans, profiler.Trace("point"):
        pass
    assert current.point.get() is before
    trace = profiler.get()
    assert trace is not None
    assert spans.one("point").base_id == trace.get_base_id()
    profiler.clean()


def test_the_service_may_have_tracing_disabled() -> None:
    config.publish(enabled=False)
    with recording() as spans, profiler.Trace("point"):
        pass
    assert spans.names() == ["point"]
    assert profiler.get() is None


def test_without_a_trace_of_its_own_nothing_is_recorded_until_one_begins() -> None:
    with recording(trace=False) as spans:
        with profiler.Trace("before"):
            pass
        profiler.init("key")
        with profiler.Trace("in it"):
            pass
    assert spans.names() == ["in it"]
    assert profiler.get() is None


def test_what_the_block_left_open_is_told_and_does_not_stay_current() -> None:
    with recording() as spans:
        profiler.start("left")
    assert (spans, spans.unfinished()) == ([], ["left"])
    assert current.point.get() is None


def test_the_configured_notifier_gets_nothing_of_the_block_and_all_that_comes_after() -> None:
    records: list[dict[str, Any]] = []
    notifier.set(records.append)
    for name in ("inside", "outside"):
        if name == "inside":
            with recording(), profiler.Trace(name):
                pass
        else:
            profiler.init("key")
            with profiler.Trace(name):
                pass
            profiler.clean()
    assert [record["name"] for record in records] == ["outside-start", "outside-stop"]


def test_recordings_nest() -> None:
    with recording() as outer:
        with recording() as inner, profiler.Trace("in"):
            pass
        with profiler.Trace("out"):
            pass
    assert (outer.names(), inner.names()) == (["out"], ["in"])


def test_a_reporter_that_the_block_configures_stays() -> None:
    records: list[dict[str, Any]] = []
    with recording():
        notifier.set(records.append)
    profiler.init("key")
    with profiler.Trace("point"):
        pass
    profiler.clean()
    assert len(records) == 2


def test_one_is_an_error_unless_it_is_one() -> None:
    with recording() as spans:
        for _ in range(2):
            with profiler.Trace("twin"):
                pass
    for name in ("twin", "absent"):
        with pytest.raises(AssertionError, match=r"'twin', 'twin'"):
            spans.one(name)


def test_the_fixture_is_a_recording(osprofiler_spans: Recording) -> None:
    with profiler.Trace("point"):
        pass
    assert osprofiler_spans.names() == ["point"]
    assert osprofiler.testing.__all__


def test_the_fixtures_fail_where_something_is_left(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["osprofiler.testing.fixtures"]')
    pytester.makepyfile(
        """
        from osprofiler import profiler
        from osprofiler._runtime import guard

        def test_good(osprofiler_spans, osprofiler_process):
            with profiler.Trace("a"):
                pass

        def test_left_open(osprofiler_spans):
            profiler.start("left")

        def test_swallowed(osprofiler_spans):
            guard.swallow("test", ValueError())

        def test_left_on(osprofiler_process):
            profiler.init("key")

        def test_recorder_left_current(osprofiler_recorder):
            profiler.init("key")

        def test_a_fault_on_purpose(osprofiler_recorder):
            osprofiler_recorder.expected_faults.add("fault.test")
            guard.swallow("test", ValueError())
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=6, errors=4)
    text = result.stdout.str()
    for message in ("left open", "faults were swallowed", "a trace was left on", "left current"):
        assert message in text
