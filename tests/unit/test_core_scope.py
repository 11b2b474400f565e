# SPDX-License-Identifier: Apache-2.0
"""The current point: our own holder, and any OpenTracing scope manager in its place."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import opentracing
import pytest
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

from osprofiler import profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.tracer import global_tracer
from tests.unit import test_decorators, test_decorators_async, test_profiler
from tests.unit.core_kit import Caught, SpanKeeper, caught_records

pytestmark = pytest.mark.usefixtures("osprofiler_process")

MANAGERS: dict[str, Callable[[], opentracing.ScopeManager | None]] = {
    "ours": lambda: None,
    "thread-local": ThreadLocalScopeManager,
    "contextvars": ContextVarsScopeManager,
    "asyncio": AsyncioScopeManager,
}

#: What must hold under every scope manager, with the flow's records as the only argument.
FACADE = [
    test_profiler.test_at_rest_nothing_happens,
    test_profiler.test_ids_after_init_start_and_stop,
    test_profiler.test_ids_that_are_no_uuids_are_kept,
    test_profiler.test_init_without_base_keeps_the_trace,
    test_profiler.test_init_with_a_base_in_an_open_point_ends_with_it,
    test_profiler.test_the_same_init_again_stays_inside_the_open_point,
    test_profiler.test_init_in_the_reporter_records_nothing,
    test_profiler.test_a_stop_too_many_does_nothing,
    test_profiler.test_stop_in_an_unsampled_part_leaves_what_is_above_it_open,
    test_profiler.test_clean_in_the_middle_of_a_block,
    test_profiler.test_points_closed_out_of_order_all_end,
    test_profiler.test_info_is_neither_changed_nor_shared,
    test_profiler.test_a_notifier_that_is_traced_itself_does_not_call_itself,
    test_profiler.test_a_thread_starts_without_a_trace,
    test_profiler.test_one_trace_object_in_many_flows,
    test_profiler.test_a_block_in_a_generator_that_ends_in_another_thread,
    test_profiler.test_a_view_follows_its_flow,
    test_profiler.test_a_view_made_by_hand_moves_only_itself,
    test_profiler.test_a_view_in_another_trace_does_not_disturb_that_one,
]
DECORATORS = [
    test_decorators.test_a_generator_is_open_from_its_first_resume_to_its_end,
    test_decorators.test_points_inside_a_generator_are_inside_it,
    test_decorators.test_two_interleaved_generators,
    test_decorators.test_a_generator_resumed_in_another_thread_leaves_nothing_there,
    test_decorators.test_clean_between_two_resumes,
    test_decorators.test_super_and_nested_points,
    test_decorators.test_nothing_is_left_current,
]
#: What needs a manager that hands the current scope down to tasks.
TASKS = [
    test_profiler.test_concurrent_tasks_each_stand_where_they_are,
    test_profiler.test_a_task_that_cleans_leaves_its_parent_alone,
    test_decorators_async.test_concurrent_coroutines,
    test_decorators_async.test_an_asynchronous_generator_left_half_way,
    test_decorators_async.test_an_asynchronous_generator,
]


@pytest.fixture(params=MANAGERS)
def managed(request: pytest.FixtureRequest) -> Iterator[str]:
    scope.use(MANAGERS[request.param]())
    yield request.param
    profiler.clean()
    assert current.manager.active is None, "a scope was left"
    scope.use(None)


@pytest.mark.parametrize("test", FACADE, ids=lambda test: test.__name__[5:])
def test_the_facade_under(managed: str, test: Callable[[Caught], None]) -> None:
    with caught_records() as records:
        test(records)
        profiler.clean()


@pytest.mark.parametrize("test", DECORATORS, ids=lambda test: test.__name__[5:])
def test_the_decorators_under(managed: str, test: Callable[[Caught], None]) -> None:
    with caught_records() as records:
        profiler.init("key")
        test(records)
        profiler.clean()


@pytest.mark.parametrize("test", TASKS, ids=lambda test: test.__name__[5:])
@pytest.mark.parametrize("manager", ["ours", "contextvars"])
def test_tasks_under(manager: str, test: Callable[[Caught], None]) -> None:
    scope.use(MANAGERS[manager]())
    with caught_records() as records:
        test(records)


def test_spans_of_other_instrumentation_nest_with_points(managed: str, spans: SpanKeeper) -> None:
    tracer = global_tracer.get_tracer()
    profiler.init("key")
    with profiler.Trace("point"):
        with tracer.start_active_span("other") as active:
            assert tracer.active_span is active.span
            with profiler.Trace("inner"), tracer.start_active_span("innermost"):
                pass
            assert tracer.active_span is active.span
        assert tracer.active_span is not active.span
    assert tracer.scope_manager is current.manager
    parents = {span.span_id: span for span in spans.finished}
    told = {
        span.operation_name: parents[span.parent_span_id].operation_name if span.parent_span_id else None
        for span in spans.finished
    }
    assert told == {"innermost": "inner", "inner": "other", "other": "point", "point": None}


def test_turning_tracing_off_inside_a_scope_of_the_application_leaves_that_to_it(
    managed: str, spans: SpanKeeper
) -> None:
    tracer = global_tracer.get_tracer()
    profiler.init("key")
    with tracer.start_active_span("other") as active:
        with scope.entered(None):
            assert profiler.get() is None
        with scope.entered(scope.SUPPRESSED), profiler.Trace("never"):
            pass
        assert spans.finished == []
        with profiler.Trace("inner"):
            pass
        assert tracer.active_span is active.span
    assert [span.operation_name for span in spans.finished] == ["inner", "other"]


@pytest.mark.parametrize("cleaned", [True, False])
def test_a_scope_of_the_application_ends_with_what_services_left_on_it(
    managed: str, spans: SpanKeeper, cleaned: bool
) -> None:
    tracer = global_tracer.get_tracer()
    with tracer.start_active_span("request") as active:
        profiler.init("key", "8d28af1e-acc0-4b1e-a0d5-5fa3b3b7d8a1")  # of a message: nobody undoes it
        profiler.start("left open")
        if cleaned:
            profiler.clean()
    assert active.span.finished
    assert tracer.active_span is None
    assert profiler.get() is None
    assert [span.operation_name for span in spans.finished] == ["left open"]


def test_a_stop_too_many_leaves_a_scope_of_the_application_open(managed: str, spans: SpanKeeper) -> None:
    profiler.init("key")
    with global_tracer.get_tracer().start_active_span("other"):
        profiler.stop()
        assert spans.finished == []
    assert [span.operation_name for span in spans.finished] == ["other"]


def test_a_span_of_another_tracer_that_is_left_open_is_left_alone(spans: SpanKeeper) -> None:
    other = opentracing.Tracer()
    profiler.init("key")
    before = current.point.get()
    with profiler.Trace("ours"):
        current.manager.activate(other.start_span("theirs"), True)
    assert current.point.get() is before
    assert [span.operation_name for span in spans.finished] == ["ours"]
    assert not any(name.startswith("fault") for name in guard.counters)
    profiler.clean()


def test_a_span_handed_to_a_thread_is_not_finished_there(managed: str, spans: SpanKeeper) -> None:
    tracer = global_tracer.get_tracer()
    profiler.init("key")
    with profiler.Trace("point"):
        span = tracer.active_span
        assert span is not None

        def work() -> None:
            with tracer.scope_manager.activate(span, finish_on_close=False):
                with profiler.Trace("in the thread"):
                    pass
                profiler.stop()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert [span.name for span in spans.finished] == ["in the thread"]
    assert spans.finished[0].parent_span_id == spans.finished[1].span_id


def test_an_unsampled_span_of_another_instrumentation(managed: str, spans: SpanKeeper) -> None:
    tracer = global_tracer.get_tracer()
    with tracer.start_active_span("unsampled") as active:
        assert profiler.get() is None
        profiler.start("a")
        profiler.stop()
        profiler.stop()
        assert tracer.active_span is active.span
        assert not active.span.finished
    assert spans.started == []


def test_pieces_leave_nothing_between_them(managed: str) -> None:
    profiler.init("key", base_id="one")
    one = current.point.get()
    profiler.clean()
    pieces = Pieces(one)
    for _ in range(3):
        with pieces:
            profiler.start("in a piece")
        assert profiler.get() is None
    with pieces:
        for _ in range(3):
            profiler.stop()
        assert current.point.get() is one


def test_a_child_task_does_not_move_its_parent() -> None:
    async def child() -> None:
        profiler.start("child")

    async def main() -> None:
        profiler.init("key")
        with profiler.Trace("parent"):
            before = current.point.get()
            await asyncio.create_task(child())
            assert current.point.get() is before

    asyncio.run(main())


def test_leaving_a_point_that_is_not_in_the_chain_changes_nothing() -> None:
    profiler.init("key")
    before = current.point.get()
    assert before is not None
    scope.leave(Point(None, None, before.origin))
    assert current.point.get() is before
    profiler.clean()


def test_a_long_chain_is_freed_without_recursion() -> None:
    profiler.init("key")
    for _ in range(50_000):
        profiler.start("a")
    profiler.clean()


def _depth() -> int:
    point, depth = current.point.get(), 0
    while point is not None:
        point, depth = point.parent, depth + 1
    return depth


def _opened(by_opentracing: bool) -> Any:
    if by_opentracing:
        return global_tracer.get_tracer().start_active_span("tick")
    return profiler.Trace("tick")


@pytest.mark.parametrize("by_opentracing", [False, True])
@pytest.mark.parametrize("begins", [False, True])
def test_a_task_that_goes_on_making_the_next_one_keeps_none_of_those_before(begins: bool, by_opentracing: bool) -> None:
    running: list[asyncio.Task[None]] = []

    async def main() -> list[int]:
        depths: list[int] = []
        profiler.init("key")
        with profiler.Trace("request"):
            running.append(asyncio.create_task(later(40, depths)))
        while running:
            await running.pop(0)
        return depths

    async def later(number: int, depths: list[int]) -> None:
        """What a timer does: its call, and all that it makes, has a copy of the maker's context."""
        if begins:
            profiler.init("key", base_id=f"5b0d2c6a-0b2f-4d7c-9e61-{number:012x}")
        await asyncio.sleep(0)  # the maker's point ends meanwhile
        with _opened(by_opentracing):
            depths.append(_depth())
            if number:
                running.append(asyncio.create_task(later(number - 1, depths)))

    assert max(asyncio.run(main())) <= 4
    profiler.clean()
