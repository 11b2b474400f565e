# SPDX-License-Identifier: Apache-2.0
"""The facade: init, get, clean, start, stop, Trace, annotate: what they record, and that they never raise."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osprofiler import config, notifier, profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from tests.unit.core_kit import Caught, SpanKeeper

pytestmark = pytest.mark.usefixtures("osprofiler_process")

BASE, PARENT, OTHER = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "abc")


# At rest


def test_at_rest_nothing_happens(records: Caught) -> None:
    profiler.start("a", info={"b": 1})
    profiler.stop({"c": 2})
    profiler.annotate("d")
    with profiler.Trace("e"):
        pass
    profiler.clean()
    assert profiler.get() is None
    assert records == []


def test_the_profiler_of_a_trace_is_the_same_however_it_was_got() -> None:
    first = profiler.init("key")
    with profiler.Trace("a"):
        assert profiler.get() == first == profiler.init("key")
        assert len({profiler.get(), first}) == 1
    profiler.clean()
    assert profiler.init("key") != first
    assert first != first.get_base_id()
    profiler.clean()


def test_a_disabled_process_starts_no_trace(records: Caught) -> None:
    config.publish(enabled=False)
    made = profiler.init("key", base_id=BASE)
    assert profiler.get() is None
    with profiler.Trace("a"):
        pass
    assert records == []
    assert made.get_base_id() == BASE  # callers use the result of init unchecked


# Identity


def test_ids_after_init_start_and_stop(records: Caught) -> None:
    view = profiler.init("key", base_id=BASE, parent_id=PARENT)
    assert (view.get_base_id(), view.get_parent_id(), view.get_id()) == (BASE, BASE, PARENT)
    profiler.start("a")
    first = records[0]
    assert (first["base_id"], first["parent_id"]) == (BASE, PARENT)
    assert (view.get_parent_id(), view.get_id()) == (PARENT, first["trace_id"])
    profiler.stop()
    assert (view.get_base_id(), view.get_parent_id(), view.get_id()) == (BASE, BASE, PARENT)
    assert view.hmac_key == "key"


def test_a_new_trace_is_a_virtual_root(spans: SpanKeeper) -> None:
    view = profiler.init("key")
    assert view.get_id() == view.get_parent_id() == view.get_base_id()
    with profiler.Trace("a"):
        pass
    (span,) = spans.finished
    assert span.parent_id is None
    assert span.parent_point_id == view.get_base_id()


def test_a_parent_equal_to_the_base_is_no_parent(spans: SpanKeeper) -> None:
    profiler.init("key", base_id=BASE, parent_id=BASE)
    with profiler.Trace("a"):
        pass
    assert spans.finished[0].parent_id is None


def test_ids_that_are_no_uuids_are_kept(records: Caught) -> None:
    profiler.init("key", base_id="my trace", parent_id="my parent")
    with profiler.Trace("a"), profiler.Trace("b"):
        pass
    assert {record["base_id"] for record in records} == {"my trace"}
    assert records[0]["parent_id"] == "my parent"
    assert records[1]["parent_id"] == records[0]["trace_id"]


def test_the_shortened_id_is_the_span_id(spans: SpanKeeper) -> None:
    view = profiler.init("key")
    with profiler.Trace("a"):
        inside = view.get_id()
    assert view.get_shorten_id(inside) == f"{spans.finished[0].span_id:x}"
    assert view.get_shorten_id((5 << 64) + 0xAB) == "ab"
    assert view.get_shorten_id("no uuid") == view.get_shorten_id("no uuid")


# The rules of init


def test_init_without_base_keeps_the_trace(records: Caught) -> None:
    profiler.init("key", base_id=BASE, parent_id=PARENT)
    again = profiler.init("other")
    assert (again.get_base_id(), again.get_id(), again.hmac_key) == (BASE, PARENT, "key")


@pytest.mark.parametrize(
    "second",
    [("key", OTHER, None), ("key", BASE, OTHER), ("key", BASE, None), ("new", BASE, PARENT)],
    ids=["another base", "another parent", "no parent", "another key"],
)
def test_init_with_a_base_replaces_what_no_point_is_open_in(second: tuple[str, str, str | None]) -> None:
    profiler.init("key", base_id=BASE, parent_id=PARENT)
    profiler.init(*second)
    now = profiler.get()
    assert now is not None
    assert (now.hmac_key, now.get_base_id(), now.get_id()) == (second[0], second[1], second[2] or second[1])
    profiler.clean()
    assert profiler.get() is None


def test_init_with_a_base_in_an_open_point_ends_with_it(records: Caught) -> None:
    outer = profiler.init("key", base_id=BASE)
    with profiler.Trace("outer"):
        inside = outer.get_id()
        profiler.init("key", base_id=OTHER, parent_id=PARENT)
        with profiler.Trace("nested"):
            pass
        now = profiler.get()
        assert now is not None
        assert now.get_base_id() == OTHER
    after = profiler.get()
    assert after is not None
    assert after.get_base_id() == BASE
    assert records.start_of("nested")["base_id"] == OTHER
    assert records.stop_of("outer")["trace_id"] == inside
    profiler.clean()


def test_a_second_init_in_an_open_point_replaces_the_first_one_there() -> None:
    profiler.init("key", base_id=BASE)
    with profiler.Trace("outer"):
        for index in range(50):  # a worker that calls init for each message must not add a root each time
            profiler.init("key", base_id=OTHER, parent_id=f"parent {index}")
        node, depth = current.point.get(), 0
        while node is not None:
            node, depth = node.parent, depth + 1
        assert depth == 3
    profiler.clean()


def test_the_same_init_again_stays_inside_the_open_point(records: Caught) -> None:
    profiler.init("key", base_id=BASE, parent_id=PARENT)
    with profiler.Trace("a"):
        profiler.init("key", base_id=BASE, parent_id=PARENT)
        with profiler.Trace("b"):
            pass
    assert records.paths() == ["a", "a/b"]


def test_init_in_the_reporter_records_nothing(records: Caught) -> None:
    with scope.entered(scope.SUPPRESSED):
        profiler.init("key", base_id=BASE)
        with profiler.Trace("a"):
            pass
        profiler.clean()
        assert current.point.get() is scope.SUPPRESSED
    assert records == []


# start, stop, clean


def test_nesting_and_times(spans: SpanKeeper, records: Caught) -> None:
    profiler.init("key")
    profiler.start("a")
    profiler.start("b")
    profiler.stop()
    profiler.start("c")
    profiler.stop()
    profiler.stop()
    assert records.paths() == ["a", "a/b", "a/c"]
    assert [record["timestamp"] for record in records] == sorted(record["timestamp"] for record in records)


def test_a_stop_too_many_does_nothing(records: Caught) -> None:
    view = profiler.init("key", base_id=BASE, parent_id=PARENT)
    profiler.stop()
    with profiler.Trace("a"):
        profiler.stop()
        profiler.stop()
    profiler.stop({"etype": "E"})
    assert records.paths() == ["a"]
    assert view.get_id() == PARENT


def test_stop_in_an_unsampled_part_leaves_what_is_above_it_open(records: Caught) -> None:
    profiler.init("key")
    with profiler.Trace("outer"):
        above = current.point.get()
        unsampled = Point(None, above, Origin.from_ids(7, 8, flags=0))
        with scope.entered(unsampled):
            assert profiler.get() is None
            profiler.start("never")
            profiler.stop()
            assert current.point.get() is unsampled
        assert records.paths() == ["outer!"]
    assert records.paths() == ["outer"]


def test_clean_in_the_middle_of_a_block(records: Caught) -> None:
    profiler.init("key")
    profiler.start("bare")
    with profiler.Trace("block"):
        profiler.clean()
        assert profiler.get() is None
        with profiler.Trace("untraced"):
            pass
    assert records.paths() == ["bare", "bare/block"]


def test_points_closed_out_of_order_all_end(records: Caught) -> None:
    profiler.init("key")
    outer, inner = profiler.Trace("outer"), profiler.Trace("inner")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    with profiler.Trace("after"):
        pass
    assert records.paths() == ["outer", "outer/inner", "after"]
    assert len(records) == 6


def test_info_is_neither_changed_nor_shared(records: Caught) -> None:
    info: dict[str, Any] = {"db": {"params": [1, 2]}}
    profiler.init("key")
    with profiler.Trace("a", info=info):
        info["db"]["params"].append(3)
    with profiler.Trace("a", info=info):
        pass
    assert info == {"db": {"params": [1, 2, 3]}}
    shown = [record["info"]["db"]["params"] for record in records.starts]
    assert shown == [[1, 2], [1, 2, 3]]
    records[0]["info"]["db"]["params"].clear()
    assert records[2]["info"]["db"]["params"] == [1, 2, 3]


def test_the_arguments_are_not_kept_alive(spans: SpanKeeper) -> None:
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)
    profiler.init("key")
    with profiler.Trace("a", info={"big": big, "all": [big]}):
        profiler.annotate("seen", big=big)
    del big
    gc.collect()
    assert gone() is None
    assert len(spans.finished) == 1


def test_annotate_is_a_log_of_the_current_span(spans: SpanKeeper) -> None:
    profiler.init("key")
    profiler.annotate("too early")
    with profiler.Trace("a"):
        profiler.annotate("retry", attempt=2)
        profiler.annotate(event="named", why="x")
    assert [fields for _, fields in spans.finished[0].own_logs] == [
        {"event": "retry", "attempt": 2},
        {"event": "named", "why": "x"},
    ]


# Errors


class HostileText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("fault", "etype"),
    [
        (ValueError("bad"), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (HostileText(), f"{__name__}.HostileText"),
    ],
)
def test_a_block_that_raises_raises_the_same_object(records: Caught, fault: BaseException, etype: str) -> None:
    profiler.init("key")
    raised: BaseException | None = None
    try:
        with profiler.Trace("a"):
            raise fault
    except BaseException as caught:
        raised = caught
    assert raised is fault
    assert records.stop_of("a")["info"]["etype"] == etype


def test_an_error_is_a_tag_and_a_log(spans: SpanKeeper) -> None:
    profiler.init("key")
    with contextlib.suppress(ValueError), profiler.Trace("a"):
        raise ValueError("bad")
    profiler.start("b")
    profiler.stop({"etype": "NotFound", "message": "gone"})
    first, second = spans.finished
    assert first.own_tags["error"] is second.own_tags["error"] is True
    (_, log), (_, told) = first.own_logs[0], second.own_logs[0]
    assert (log["event"], log["error.kind"], log["message"]) == ("error", "ValueError", "bad")
    assert "raise ValueError" in log["stack"]
    assert (told["event"], told["error.kind"], told["message"]) == ("error", "NotFound", "gone")


# Faults that must not reach the service


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


class HostileMapping(dict[str, Any]):
    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def items(self) -> Any:
        raise RuntimeError("items")


@pytest.mark.parametrize(
    "info",
    [Hostile, HostileMapping, lambda: "text", lambda: 5, lambda: {"a": Hostile()}, lambda: {Hostile(): 1}],
    ids=["hostile", "mapping", "text", "number", "value", "key"],
)
def test_hostile_info_leaves_starts_and_stops_balanced(records: Caught, info: Callable[[], Any]) -> None:
    profiler.init("key")
    with profiler.Trace("outer"):
        profiler.start("inner", info())
        profiler.stop(info())
        with profiler.Trace("block", info()):
            pass
        assert records.paths() == ["outer!", "outer/inner", "outer/block"]


@pytest.mark.parametrize(
    "name",
    [lambda: None, lambda: 5, Hostile, lambda: "x" * 10_000, lambda: "\ud800\0"],
    ids=["none", "int", "bad", "long", "odd"],
)
def test_a_name_may_be_anything(records: Caught, name: Callable[[], Any]) -> None:
    profiler.init("key")
    profiler.start(name())
    profiler.stop()
    assert len(records) == 2
    assert all(len(record["name"]) < 300 for record in records)
    records[0]["name"].encode()


def test_a_notifier_that_raises_is_counted_and_harmless() -> None:
    def broken(record: dict[str, Any]) -> None:
        raise OSError("store is gone")

    notifier.set(broken)
    profiler.init("key")
    with profiler.Trace("a"):
        profiler.start("b")
        profiler.stop()
    profiler.clean()
    assert guard.counters["fault.notifier"] == 4


def test_a_notifier_that_is_traced_itself_does_not_call_itself(records: Caught) -> None:
    def traced(record: dict[str, Any]) -> None:
        records.append(record)
        if len(records) < 10:  # or a failing test would never end
            with profiler.Trace("notify"):
                pass

    notifier.set(traced)
    profiler.init("key")
    with profiler.Trace("a"):
        pass
    assert records.paths() == ["a"]


def test_a_reporter_that_raises_leaves_points_balanced(spans: SpanKeeper) -> None:
    def refuse(span: object) -> None:
        raise MemoryError

    profiler.init("key")
    spans.report_start = refuse  # type: ignore[method-assign]
    with profiler.Trace("a"), profiler.Trace("b"):
        pass
    assert [span.name for span in spans.finished] == ["b", "a"]
    assert guard.counters["fault.report"] == 2


# Flows of control


def test_a_thread_starts_without_a_trace(records: Caught) -> None:
    profiler.init("key")
    seen: list[object] = []
    with profiler.Trace("a"):
        thread = threading.Thread(target=lambda: seen.append(profiler.get()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_concurrent_tasks_each_stand_where_they_are(records: Caught) -> None:
    async def work(name: str, turns: int) -> None:
        with profiler.Trace(name):
            for _ in range(turns):
                await asyncio.sleep(0)
                with profiler.Trace("step"):
                    await asyncio.sleep(0)

    async def request() -> None:
        profiler.init("key")
        with profiler.Trace("request"):
            await asyncio.gather(work("one", 2), work("two", 3))

    asyncio.run(request())
    assert sorted(records.paths()) == sorted(
        ["request", "request/one", "request/two", *["request/one/step"] * 2, *["request/two/step"] * 3]
    )


def test_a_task_that_cleans_leaves_its_parent_alone(records: Caught) -> None:
    async def child() -> None:
        profiler.start("child")
        profiler.clean()

    async def request() -> None:
        profiler.init("key")
        profiler.start("request")
        await asyncio.gather(child())
        assert records.paths() == ["request!", "request/child"]
        profiler.stop({"end": True})

    asyncio.run(request())
    assert records.stop_of("request")["info"]["end"] is True


def test_one_trace_object_in_many_flows(records: Caught) -> None:
    shared = profiler.Trace("shared")
    entered, leave = threading.Event(), threading.Event()

    def traced() -> None:
        profiler.init("key", base_id=BASE)
        with shared, shared:
            entered.set()
            leave.wait(30)
        profiler.clean()

    thread = threading.Thread(target=traced)
    thread.start()
    assert entered.wait(30)
    with shared:  # no trace is on here: no point may be opened or closed
        pass
    assert records.paths() == ["shared!", "shared/shared!"]
    leave.set()
    thread.join()
    assert records.paths() == ["shared", "shared/shared"]
    assert len(records) == 4


def test_a_block_in_a_generator_that_ends_in_another_thread(records: Caught) -> None:
    def body() -> Iterator[int]:
        with profiler.Trace("block"):
            yield 1

    def first() -> None:
        profiler.init("key")
        next(running)

    running = body()
    thread = threading.Thread(target=first)
    thread.start()
    thread.join()
    running.close()
    assert records.paths() == ["block"]
    assert profiler.get() is None


# Views


def test_a_view_follows_its_flow(records: Caught) -> None:
    view = profiler.init("key")
    view.start("a")
    profiler.start("b")
    view.stop({"of": "b"})
    view.stop({"of": "a"})
    view.stop()
    assert records.paths() == ["a", "a/b"]
    assert [record["info"]["of"] for record in records.stops] == ["b", "a"]


def test_a_view_made_by_hand_moves_only_itself(records: Caught) -> None:
    view = profiler._Profiler("key", base_id=BASE, parent_id=PARENT)
    view.stop()
    view.start("a", info={"x": 1})
    view.start("b")
    assert profiler.get() is None
    assert view.get_parent_id() == records[0]["trace_id"]
    view.stop()
    view.stop()
    view.stop()
    assert records.paths() == ["a", "a/b"]
    assert records[0]["parent_id"] == PARENT


def test_a_view_in_another_trace_does_not_disturb_that_one(records: Caught) -> None:
    profiler.init("key", base_id=BASE)
    with profiler.Trace("here"):
        other = profiler._Profiler("key", base_id=OTHER)
        other.start("elsewhere")
        with profiler.Trace("inside"):
            pass
        other.stop()
    assert records.paths() == ["here", "elsewhere", "here/inside"]
