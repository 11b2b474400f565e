# SPDX-License-Identifier: Apache-2.0
"""Forks and joins by hand: references, ids, and the tags that tell what became of a branch."""

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentracing import ReferenceType

from osprofiler import config, profiler
from osprofiler.concurrency import fork as forks
from osprofiler.concurrency.branch import Branch
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.tracer import global_tracer
from tests.unit.span_kit import Recorder, spans  # noqa: F401 (a fixture)

KEY = "a key"


@pytest.fixture
def traced(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    profiler.init(KEY)
    yield spans
    profiler.clean()


def in_thread(work: Callable[[], Any]) -> None:
    """Run *work* on another thread, to its end; what it raises ends there."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).exception()


def links_of(span: Any) -> set[tuple[str, int, int]]:
    return set(span.links or ())


def work() -> None:
    with profiler.Trace("work"):
        pass


def test_a_fork_from_its_start_to_its_join(traced: Recorder) -> None:
    with profiler.Trace("root"):
        fork = profiler.fork("fan-out", info={"hosts": 3})
        branches = [fork.branch(), fork.branch("second"), fork.branch()]
        allocated = {branch.span_id for branch in branches}
        for branch in branches:

            def run(branch: Branch = branch) -> None:
                with branch:
                    work()

            in_thread(run)
        fork.join()
    root, join = traced.by_name("root"), traced.by_name("join")
    entered = [span for span in traced.finished if span.own_tags.get("osprofiler.fork") == "fan-out"]
    assert sorted(str(span.name) for span in entered) == ["fan-out", "fan-out", "second"]
    assert {span.span_id for span in entered} == allocated, "the ids that the parent allocated"
    assert {(span.parent_span_id, span.follows) for span in entered} == {(root.span_id, False)}
    assert all(span.start_info == {"hosts": 3} for span in entered)
    assert {span.parent_span_id for span in traced.finished if span.name == "work"} == allocated
    assert join.parent_span_id == root.span_id
    assert links_of(join) == {(ReferenceType.FOLLOWS_FROM, root.trace_id, one) for one in allocated}
    assert dict(join.own_tags) == {"osprofiler.join": "fan-out"}


def test_the_type_of_reference_is_fixed_at_the_fork(traced: Recorder) -> None:
    with profiler.Trace("root"):
        waiting, detached = profiler.fork("waiting"), profiler.fork("detached", detached=True)
        branches = [waiting.branch(), detached.branch()]
    for branch in branches:  # entered long after, and not where they were made
        with branch:
            pass
    assert not traced.by_name("waiting").follows
    assert traced.by_name("detached").follows
    assert traced.by_name("detached").own_tags["osprofiler.detached"] is True


def test_what_became_of_each_branch_is_told_by_the_join(traced: Recorder) -> None:
    with profiler.Trace("root"):
        fork = profiler.fork("fork")
        fork.branch("never")
        in_thread(fork.wrap(lambda: None, "fine"))
        in_thread(fork.wrap(lambda: 1 / 0, "failed"))
        running, left_open = fork.branch("running"), fork.branch("left open")
        elsewhere = pickle.loads(pickle.dumps(fork.branch("elsewhere")))
        go_on, entered = threading.Event(), threading.Event()

        def run() -> None:
            with running:
                entered.set()
                go_on.wait()

        other = threading.Thread(target=run)
        other.start()
        entered.wait()
        dead = threading.Thread(target=left_open.__enter__)
        dead.start()
        dead.join()
        fork.join()
        go_on.set()
        other.join()
        with elsewhere:
            pass
    join = traced.by_name("join")
    ids = {span.name: span.span_id for span in traced.started}
    assert {link[2] for link in links_of(join)} == {ids["fine"], ids["failed"], ids["elsewhere"]}
    assert dict(join.own_tags) == {
        "osprofiler.join": "fork",
        "osprofiler.join.never_entered": 1,
        "osprofiler.join.never_entered.names": "never",
        "osprofiler.join.unfinished": 1,
        "osprofiler.join.unfinished.names": "running",
        "osprofiler.join.abandoned": 1,
        "osprofiler.join.abandoned.names": "left open",
        "osprofiler.join.failed": 1,
        "osprofiler.join.failed.names": "failed",
        "osprofiler.join.elsewhere": 1,
        "osprofiler.join.elsewhere.names": "elsewhere",
    }
    assert traced.by_name("failed").own_tags["error"] is True
    left_open.__exit__(None, None, None)


def test_a_second_entry_is_an_ordinary_child(traced: Recorder) -> None:
    with profiler.Trace("root"), profiler.fork("fork") as fork:
        wrapped = fork.wrap(work)
        wrapped()
        wrapped()
    first, second = [span for span in traced.finished if span.name == "fork"]
    root = traced.by_name("root")
    assert first.parent_span_id == second.parent_span_id == root.span_id
    assert first.span_id != second.span_id
    assert "osprofiler.entered_again" not in first.own_tags
    assert second.own_tags["osprofiler.entered_again"] is True
    assert {link[2] for link in links_of(traced.by_name("join"))} == {first.span_id}


def test_two_flows_in_one_branch_at_once_each_leave_their_own_point(traced: Recorder) -> None:
    with profiler.Trace("root"):
        branch = profiler.fork("fork").branch()
        both_in = threading.Barrier(2)

        def run() -> None:
            with branch:
                both_in.wait()
                work()

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    entered = [span for span in traced.finished if span.name == "fork"]
    assert len({span.span_id for span in entered}) == 2
    assert {span.parent_span_id for span in traced.finished if span.name == "work"} == {s.span_id for s in entered}


@pytest.mark.parametrize(
    ("detached", "end_root", "late"),
    [(False, False, "parent"), (False, True, "trace"), (True, False, None), (True, True, "trace")],
)
def test_entered_too_late(traced: Recorder, detached: bool, end_root: bool, late: str | None) -> None:
    root = profiler.Trace("root")
    root.__enter__()
    with profiler.Trace("forking"):
        branch = profiler.fork("fork", detached=detached).branch()
    if end_root:
        root.__exit__(None, None, None)
    with branch:
        pass
    if not end_root:
        root.__exit__(None, None, None)
    assert traced.by_name("fork").own_tags.get("osprofiler.entered_late") == late


@pytest.mark.parametrize("detached", [False, True])
def test_a_branch_made_when_the_point_has_ended_follows_from_it(traced: Recorder, detached: bool) -> None:
    with profiler.Trace("request"):
        inherited = current.point.get()
    with scope.entered(inherited), profiler.fork("fork", detached=detached) as fork:
        threads = [threading.Thread(target=fork.wrap(work)), threading.Thread(target=fork.wrap(work))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    branches = [span for span in traced.finished if span.name == "fork"]
    assert [branch.follows for branch in branches] == [True, True]
    assert {branch.parent_span_id for branch in branches} == {traced.by_name("request").span_id}
    assert all(branch.own_tags["osprofiler.detached"] for branch in branches)
    joins = [span for span in traced.finished if span.name == "join"]
    assert [len(links_of(join)) for join in joins] == ([] if detached else [2]), "this flow waits, so it may join"


def test_a_reference_stays_what_it_was_when_the_branch_was_made(traced: Recorder) -> None:
    with profiler.Trace("request"):
        branch = profiler.fork("fork").branch()
    given = branch.for_forked_child()
    given._process = branch._process  # as if in the process that it was given to
    with given:
        pass
    span = traced.by_name("fork")
    assert not span.follows
    assert span.own_tags["osprofiler.entered_late"] == "trace"


def test_lateness_is_seen_through_nested_branches(traced: Recorder) -> None:
    inner: list[Branch] = []
    with profiler.Trace("root"):
        outer = profiler.fork("outer", detached=True).branch()
    with outer:
        inner.append(profiler.fork("inner", detached=True).branch())
        with inner[0]:
            pass
    assert traced.by_name("inner").own_tags["osprofiler.entered_late"] == "trace"


def test_the_service_sees_its_own_exception(traced: Recorder) -> None:
    fault = KeyError("mine")

    def fail() -> None:
        raise fault

    with profiler.Trace("root"):
        fork = profiler.fork("fork")
        with pytest.raises(KeyError) as raised:
            fork.wrap(fail)()
        with pytest.raises(SystemExit), fork.branch():
            raise SystemExit(3)
    assert raised.value is fault


def test_a_block_that_fails_joins_all_the_same(traced: Recorder) -> None:
    def fail() -> None:
        with profiler.Trace("root"), profiler.fork("fork") as fork:
            fork.wrap(work)()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert len(links_of(traced.by_name("join"))) == 1


def test_several_forks_in_one_join_and_none_twice(traced: Recorder) -> None:
    with profiler.Trace("root"):
        one, two = profiler.fork("one"), profiler.fork("two", detached=True)
        one.wrap(work)()
        two.wrap(work)()
        profiler.join(one, two)
        profiler.join(one, two)  # nothing new: no point
        one.wrap(work, "more")()
        profiler.join(one, two)
    first, second = [span for span in traced.finished if span.name == "join"]
    assert first.own_tags["osprofiler.join"] == "one, two"
    assert len(links_of(first)) == 2
    assert {link[2] for link in links_of(second)} == {traced.by_name("more").span_id}


def test_a_joined_or_detached_fork_does_not_join_at_the_end_of_its_block(traced: Recorder) -> None:
    with profiler.Trace("root"):
        with profiler.fork("joined") as joined:
            joined.wrap(work)()
            joined.join()
        with profiler.fork("detached", detached=True) as detached:
            detached.wrap(work)()
    assert [span.own_tags["osprofiler.join"] for span in traced.finished if span.name == "join"] == ["joined"]


def test_forks_in_forks(traced: Recorder) -> None:
    def deep(levels: int) -> None:
        if levels:
            with profiler.fork(f"level {levels}") as fork:
                in_thread(fork.wrap(lambda: deep(levels - 1)))

    with profiler.Trace("root"):
        deep(5)
    parents = {span.span_id: span.parent_span_id for span in traced.finished}
    names = {span.span_id: span.name for span in traced.finished}
    at, path = traced.by_name("level 1").span_id, []
    while at in parents:
        path.append(names[at])
        at = parents[at]
    assert path == ["level 1", "level 2", "level 3", "level 4", "level 5", "root"]
    for level in range(1, 5):
        inner_join = next(s for s in traced.finished if s.own_tags.get("osprofiler.join") == f"level {level}")
        assert inner_join.parent_span_id == traced.by_name(f"level {level + 1}").span_id


def test_ten_thousand_branches(traced: Recorder) -> None:
    with profiler.Trace("root"), profiler.fork("fan-out") as fork, ThreadPoolExecutor(8) as pool:
        for _ in range(10_000):
            pool.submit(fork.wrap(int))
        pool.shutdown()
    joins = [span for span in traced.finished if span.name == "join"]
    branches = {span.span_id for span in traced.finished if span.name == "fan-out"}
    assert len(branches) == 10_000
    assert all(len(links_of(join)) <= forks.MAX_LINKS + 1 for join in joins)
    linked = [link[2] for join in joins for link in join.links or ()]
    chain = [join.span_id for join in joins]
    assert sorted(linked) == sorted([*branches, *chain[:-1]]), "each branch once, and each part but the last"
    assert [join.own_tags["osprofiler.join.part"] for join in joins] == [f"{n}/10" for n in range(1, 11)]


def test_a_join_fits_what_the_transport_takes(traced: Recorder) -> None:
    tracer = global_tracer.get_tracer()
    before, tracer.max_span_chars = tracer.max_span_chars, 9_000
    try:
        with profiler.Trace("root"), profiler.fork("fork") as fork:
            for _ in range(50):
                fork.wrap(int)()
    finally:
        tracer.max_span_chars = before
    assert max(len(span.links or ()) for span in traced.finished) <= 21


def test_without_a_trace_nothing_is_made(spans: Recorder) -> None:  # noqa: F811
    fork = profiler.fork("fork")
    assert fork.wrap(work) is work
    assert fork.to_carrier() == {}
    with fork, fork.branch():
        assert current.point.get() is None
    profiler.join(fork)
    profiler.join()
    assert spans.started == []


def test_unsampled_is_carried_on_and_records_nothing(spans: Recorder) -> None:  # noqa: F811
    with scope.entered(Point(None, None, Origin.from_ids(7, 9, flags=0))):
        fork = profiler.fork("fork")
        seen: list[Point | None] = []
        in_thread(fork.wrap(lambda: seen.append(current.point.get())))
        fork.join()
    assert seen[0] is not None
    assert seen[0].origin.trace_id == 7
    assert spans.started == []


def test_under_a_virtual_root_branches_are_roots(traced: Recorder) -> None:
    with profiler.fork("fork") as fork:
        in_thread(fork.wrap(work))
    assert {span.parent_span_id for span in traced.finished if span.name in ("fork", "join")} == {0}


def test_a_join_in_another_trace_stays_with_its_fork(traced: Recorder) -> None:
    with profiler.Trace("root"):
        fork = profiler.fork("fork")
        fork.wrap(work)()

        def elsewhere() -> None:
            profiler.init(KEY)
            with profiler.Trace("other"):
                fork.join()
                with profiler.Trace("after"):
                    pass
            profiler.clean()

        in_thread(elsewhere)
    assert traced.by_name("join").parent_span_id == traced.by_name("root").span_id
    assert traced.by_name("after").parent_span_id == traced.by_name("other").span_id


def test_a_coroutine_function_is_in_its_branch_until_it_ends(traced: Recorder) -> None:
    async def two_steps(number: int) -> int:
        with profiler.Trace(f"first {number}"):
            await asyncio.sleep(0)
        with profiler.Trace(f"second {number}"):
            await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        with profiler.fork("fork") as fork:
            return await asyncio.gather(*(fork.wrap(two_steps, f"branch {n}")(n) for n in range(3)))

    with profiler.Trace("root"):
        assert asyncio.run(main()) == [0, 1, 2]
    for number in range(3):
        branch = traced.by_name(f"branch {number}")
        assert traced.by_name(f"first {number}").parent_span_id == branch.span_id
        assert traced.by_name(f"second {number}").parent_span_id == branch.span_id
    assert len(links_of(traced.by_name("join"))) == 3


def test_a_wrapped_callable_looks_like_itself(traced: Recorder) -> None:
    with profiler.Trace("root"):
        wrapped: Any = profiler.fork("fork").wrap(work)
        assert wrapped.__name__ == "work"
        assert wrapped.__wrapped__ is work
        assert wrapped == work
        assert hash(wrapped) == hash(work)
        assert [work].index(wrapped) == 0


def test_pickled_the_branch_goes_along_and_only_once(traced: Recorder) -> None:
    config.publish(hmac_keys=("another", KEY))
    with profiler.Trace("root"):
        fork = profiler.fork("fork", info={"a": 1}, detached=True)
        wrapped = fork.wrap(work)
        text = pickle.dumps(wrapped)
        again = pickle.dumps(wrapped)
        assert KEY.encode() not in text
        in_thread(pickle.loads(text))
        in_thread(pickle.loads(again))
        in_thread(wrapped)
    sent, second, here = [span for span in traced.finished if span.name == "fork"]
    root = traced.by_name("root")
    assert len({sent.span_id, second.span_id, here.span_id}) == 3
    assert {span.parent_span_id for span in (sent, second, here)} == {root.span_id}
    assert all(span.follows and span.start_info == {"a": 1} for span in (sent, second, here))
    assert sent.origin.hmac_key == KEY, "looked up by its id"
    assert sent.origin.base_id == root.origin.base_id


def test_a_fault_of_ours_stays_ours(traced: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    traced.expected_faults |= {"fault.branch", "fault.join"}
    with profiler.Trace("root"):
        fork = profiler.fork("fork")
        fork.wrap(work)()
        monkeypatch.setattr(global_tracer.get_tracer(), "open_point", broken)
        assert fork.wrap(lambda: "result")() == "result"
        fork.join()
        monkeypatch.undo()


def test_names_of_any_kind(traced: Recorder) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError

    with profiler.Trace("root"):
        for name in ("", "n\0ul", "x" * 100_000, "\ud800", Hostile()):
            with profiler.fork(name) as fork:  # type: ignore[arg-type]
                fork.branch()
                fork.wrap(int)()
                fork.to_carrier()
    assert len([span for span in traced.finished if span.name == "join"]) == 5
