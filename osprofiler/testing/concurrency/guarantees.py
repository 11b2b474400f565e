# SPDX-License-Identifier: Apache-2.0
"""The guarantees of every execution model. Each function raises AssertionError, whose text is the fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from osprofiler import profiler
from osprofiler.context import current
from osprofiler.instrumentation import registry
from osprofiler.records import names
from osprofiler.testing.concurrency.model import Link, Model, NotApplicable, Work, run_as_branches
from osprofiler.testing.concurrency.spans import KEY, Seen, Spans, take


def _traced() -> None:
    profiler.clean()
    profiler.init(KEY)


def _must(truth: object, message: str) -> None:
    if not truth:
        raise AssertionError(message)


def _automatic(model: Model, works: Sequence[Work]) -> tuple[Seen, Spans]:
    """Run *works* under a root point, with the instrumentation on. Returns the root and all recorded spans."""
    registry.instrument(*model.instrumentation)
    try:
        _traced()
        with profiler.Trace(f"root of {works[0].name}"):
            model.run(works)
    finally:
        registry.uninstrument(*model.instrumentation)
        profiler.clean()
    spans = Spans()
    return spans.one(f"root of {works[0].name}"), spans


def _branch_of(model: Model, spans: Spans, name: str) -> Seen:
    """The automatic branch in which the work *name* ran."""
    work = spans.one(name)
    branch = spans.above(work)
    if branch is None or names.FORK not in branch.tags:
        raise AssertionError(f"{name!r} is not in a branch but in {branch and branch.name!r}; all: {spans.names()}")
    return branch


def _submitter(model: Model, spans: Spans, branch: Seen) -> int:
    """The id of the point that has submitted *branch*."""
    above = spans.above(branch)
    if model.through is not None and above is not None and above.name == model.through:
        return above.parent
    return branch.parent


def right_parent(model: Model) -> None:
    """The points of work are in its branch, in the request's trace. The branch is under the submitting point."""
    root, spans = _automatic(model, [Work("work 1"), Work("work 2")])
    for name in ("work 1", "work 2"):
        if model.follows == "never":
            _must(not spans.named(name), f"{name} was followed")
            continue
        work = spans.one(name)
        _must(work.trace == root.trace, f"{name} is in another trace")
        owner = _branch_of(model, spans, name) if model.follows == "branch" else work
        _must(_submitter(model, spans, owner) == model.marked, f"{name} is not under the point that has submitted it")
    _traced()
    with profiler.Trace("explicit"), profiler.fork("explicit fork") as fork:
        run_as_branches(model, fork, [Work("explicit work")])
    profiler.clean()
    spans = Spans()
    branch = spans.one("branch explicit work")
    _must(spans.one("explicit work").parent == branch.id, "work is not in its branch")
    _must(branch.parent == spans.one("explicit").id, "the branch is not under the point that was forked")


def right_reference(model: Model) -> None:
    """An automatic branch is ChildOf if its submitter can wait for it, else FollowsFrom. A fork has a parameter."""
    _, spans = _automatic(model, [Work("work")])
    if model.follows == "branch":
        branch = _branch_of(model, spans, "work")
        reference = "FollowsFrom" if branch.follows else "ChildOf"
        _must(reference == model.reference, f"an automatic branch is {reference}")
        _must((names.DETACHED in branch.tags) == branch.follows, "the tag does not match the reference")
    for detached in (False, True):
        _traced()
        with profiler.Trace("explicit"):
            fork = profiler.fork("fork", detached=detached)
            run_as_branches(model, fork, [Work(f"detached {detached}")])
        profiler.clean()
        branch = Spans().one(f"branch detached {detached}")
        _must(branch.follows is detached, f"detached={detached} became follows={branch.follows}")


def join_references_all(model: Model) -> None:
    """A join references every branch that has run, and names the branch that has not."""
    works = [Work(f"work {number}") for number in range(5)]
    _traced()
    with profiler.Trace("root"):
        fork = profiler.fork("fork")
        fork.branch("forgotten")
        run_as_branches(model, fork, works)
        fork.join()
    profiler.clean()
    spans = Spans()
    join = spans.one("join")
    branches = {spans.one(f"branch {work.name}").id for work in works}
    referenced = {link[2] for link in join.links}
    _must(referenced == branches, f"the join references {len(referenced & branches)} branches of {len(branches)}")
    _must({link[0] for link in join.links} == {names.FOLLOWS_FROM}, "a join's references are not FollowsFrom")
    _must(join.tags.get(f"{names.JOIN_NEVER_ENTERED}.names") == "forgotten", "a branch that never ran is not named")
    _must(names.JOIN_UNFINISHED not in join.tags, "an ended branch counts as unfinished")


def clean_worker(model: Model) -> None:
    """Traced and untraced work in turn: neither the workers nor the submitter keep a trace."""
    registry.instrument(*model.instrumentation)
    try:
        for turn in range(3):
            _traced()
            with profiler.Trace(f"traced {turn}"):
                before = current.point.get()
                model.run([Work(f"work {turn}"), Work(f"failing {turn}", fails=True)])
                _must(current.point.get() is before, "the submitter's current point has changed")
            profiler.clean()
            model.run([Work(f"untraced {turn}") for _ in range(3)])
            _must(current.point.get() is None, "untraced work has left a trace on")
    finally:
        registry.uninstrument(*model.instrumentation)
    spans = Spans()
    leaked = [probe["name"] for probe in spans.probes if probe["name"].startswith("untraced") and not probe["clean"]]
    ran = [probe["name"] for probe in spans.probes if probe["name"].startswith("untraced")]
    _must(len(ran) == 9, f"{len(ran)} of 9 untraced works ran")
    _must(not leaked, f"a worker was in a trace: {leaked}")
    _must(not [name for name in spans.names() if name.startswith("untraced")], "untraced work was recorded")


def error_in_branch(model: Model) -> None:
    """A branch that ends with an exception is an error, and the other branches are not."""
    _, spans = _automatic(model, [Work("good"), Work("bad", fails=True)])
    if model.follows == "branch":
        _must(_branch_of(model, spans, "bad").tags.get("error") is True, "the failed branch is not an error")
        _must("error" not in _branch_of(model, spans, "good").tags, "the other branch is an error too")
    _traced()
    with profiler.Trace("explicit"), profiler.fork("fork") as fork:
        run_as_branches(model, fork, [Work("failing", fails=True)])
    profiler.clean()
    spans = Spans()
    _must(spans.one("branch failing").tags.get("error") is True, "the failed branch of a fork is not an error")
    tags = spans.one("join").tags
    if names.JOIN_ELSEWHERE not in tags:
        _must(tags.get(names.JOIN_FAILED) == 1, "the join does not count the failed branch")


def nesting(model: Model) -> None:
    """Work submits other work: the inner branch is under the outer one."""
    if model.follows == "branch":
        _, spans = _automatic(model, [Work("work", inside=model)])
        inner, outer = _branch_of(model, spans, "inside work"), _branch_of(model, spans, "work")
        _must(inner.id != outer.id and _is_under(spans, inner, outer), "the inner branch is not under the outer one")
    _traced()
    with profiler.Trace("root"), profiler.fork("fork") as fork:
        run_as_branches(model, fork, [Work("forking", inside=model, forks=True)])
    profiler.clean()
    spans = Spans()
    inner, outer = spans.one("branch inside forking"), spans.one("branch forking")
    _must(_is_under(spans, inner, outer), "the inner fork's branch is not under the outer one's")
    _must(spans.one("inside forking").parent == inner.id, "work is not in the inner branch")


def _is_under(spans: Spans, inner: Seen, outer: Seen) -> bool:
    at: Seen | None = inner
    while at is not None and at.id != outer.id:
        at = spans.above(at)
    return at is not None


def hand_over_chain(model: Model) -> None:
    """Three hand-overs in one trace, by a patch, a fork or a carrier. Each giver ends before the next one begins."""
    for way in ("patch", "fork", "carrier") if model.takes_callables else ("carrier",):
        link_names = tuple(f"{way} link {number}" for number in (1, 2, 3))
        registry.instrument(*model.instrumentation)
        try:
            _traced()
            with profiler.Trace(f"{way} root"):
                link = Link(link_names, way).handed_over()
            profiler.clean()
            for name in link_names:
                model.run([link])
                _must(Spans().one(name).stops == 1, f"{name} has not ended, so it gives nothing")
                link = link if name == link_names[-1] else take()
        finally:
            registry.uninstrument(*model.instrumentation)
        spans = Spans()
        for giver, name in zip((f"{way} root", *link_names), link_names, strict=False):
            branch = spans.above(spans.one(name))
            _must(branch is not None and names.FORK in branch.tags, f"{name} is not in a branch")
            _must(branch is not None and branch.parent == spans.one(giver).id, f"{name} is not under {giver}")


def exactly_once(model: Model) -> None:
    """Every span is reported once, in one process, with its own id. None is left open."""
    works = [Work(f"work {number}") for number in range(model.works)]
    _automatic(model, works)
    _traced()
    with profiler.Trace("explicit"), profiler.fork("fork") as fork:
        run_as_branches(model, fork, [Work(f"explicit {work.name}") for work in works])
    profiler.clean()
    spans = Spans()
    wrong = [span.name for span in spans.by_id.values() if span.stops != 1 or span.starts > 1]
    _must(not wrong, f"not reported exactly once: {wrong}")
    count = len(works)
    for prefix, wanted in (("work ", count * (model.follows != "never")), ("explicit work", count), ("branch ", count)):
        number = sum(name.startswith(prefix) for name in spans.names())
        _must(number == wanted, f"{number} spans {prefix!r}, not {wanted}")
    if model.follows == "branch":
        automatic = [span for span in spans.by_id.values() if span.tags.get(names.FORK, "fork") != "fork"]
        branches = {spans.one(work.name).parent for work in works}
        _must(len(branches) == count, "works share a branch")
        _must(branches <= {span.id for span in automatic}, "a work does not have its own branch")


def instruments_and_back(model: Model) -> None:
    """A second ``instrument`` does nothing, ``uninstrument`` undoes both, and ``instrument`` works again."""
    if not model.instrumentation:
        raise NotApplicable("nothing is instrumented")
    registry.instrument(*model.instrumentation)
    _, spans = _automatic(model, [Work("on")])
    if model.follows == "branch":
        branch = _branch_of(model, spans, "on")
        _must(_submitter(model, spans, branch) == model.marked, "one submission has made two branches")
    _traced()
    with profiler.Trace("off root"):
        model.run([Work("off")])
    profiler.clean()
    off = Spans().named("off")
    above = Spans().by_id.get(off[0].parent) if off else None
    _must(above is None or names.FORK not in above.tags, "work is still a branch after uninstrument")
    _, spans = _automatic(model, [Work("again")])
    if model.follows == "branch":
        _branch_of(model, spans, "again")


#: The columns of the table: the check of each name.
GUARANTEES: dict[str, Callable[[Model], None]] = {
    "right parent": right_parent,
    "right reference": right_reference,
    "join references all": join_references_all,
    "clean worker": clean_worker,
    "error in branch": error_in_branch,
    "nesting": nesting,
    "hand-over chain": hand_over_chain,
    "exactly once": exactly_once,
    "instrument and back": instruments_and_back,
}
