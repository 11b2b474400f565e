# SPDX-License-Identifier: Apache-2.0
"""Fork and join: work that another flow of control does for a request stays in the trace of that request.

A fork creates branches. A branch may be entered in any thread, greenthread, task or process. A join records and never
waits: it is a point that references the branches that have ended, and names those that have not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from osprofiler._runtime import guard
from osprofiler.concurrency.branch import Branch
from osprofiler.concurrency.branch_callable import BranchCallable, is_branch, name_of
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import label
from osprofiler.records import names
from osprofiler.tracer import global_tracer

P = ParamSpec("P")
R = TypeVar("R")

#: References that one join point holds.
MAX_LINKS = 1000
# Bytes of one reference in a thrift span, and bytes reserved for the rest of the span.
_LINK_BYTES = 40
_REST_BYTES = 8192

_NAMES_SHOWN = 20


class Fork:
    """Creates branches of the point that was current when the fork was created.

    As a context manager it joins at the end of the block, unless it is detached or was joined before.
    """

    __slots__ = ("_branches", "_joined", "at", "detached", "info", "name")

    def __init__(self, name: str, info: Mapping[str, Any] | None = None, detached: bool = False) -> None:
        self.at = current.point.get()
        self.name = label(name)
        self.info = dict(info) if info else None
        self.detached = detached
        self._branches: list[Branch] = []
        self._joined = False

    def branch(self, name: str | None = None) -> Branch:
        """Return a new branch with *name*, or with the name of the fork. Enter it once, in any flow of control."""
        branch = Branch(self.at, label(name) if name else self.name, self.name, detached=self.detached, info=self.info)
        if self.at is not None:
            self._branches.append(branch)
        return branch

    def wrap(self, f: Callable[P, R], name: str | None = None) -> Callable[P, R]:
        """Return a callable that calls *f* in a new branch; *f* itself if no trace is on.

        If *f* is a coroutine function, the branch lasts as long as the coroutine. If *f* can be pickled and is no
        coroutine function, the result can be pickled.
        """
        if self.at is None:
            return f
        from osprofiler.concurrency import multiprocessing

        branch = self.branch(name)
        if not multiprocessing.by_hand.on:
            multiprocessing.by_hand.install()
        if not inspect.iscoroutinefunction(f):
            return cast("Callable[P, R]", BranchCallable(f, branch))

        @functools.wraps(f)
        async def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            with branch:
                return await f(*args, **kwargs)

        return cast("Callable[P, R]", run)

    def to_carrier(self, name: str | None = None) -> dict[str, str]:
        """Return a new branch as text fields, for a queue, a message or the environment of another process.

        The receiver enters the branch with ``profiler.branch(carrier)``. Empty if no trace is on.
        """
        from osprofiler.concurrency import carrier

        with guard.Harmless("fork.to_carrier"):
            return carrier.write(self.branch(name))
        return {}

    def join(self) -> None:
        """Record that the branches end here; see :func:`join`."""
        join(self)

    def __enter__(self) -> Fork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.detached and not self._joined:
            self.join()

    def take(self) -> list[Branch]:
        """Return the branches that are not joined yet, and forget them."""
        self._joined = True
        branches, self._branches = self._branches, []
        return branches


def hand_over(by: str, work: Callable[P, R], *, detached: bool = False) -> Callable[P, R]:
    """Return *work* as a branch of the current point; *work* itself if no trace is on or if it is a branch already.

    For the patch named *by*. A patch knows that the work belongs to the request, so it is followed even if the request
    has ended. Never raises.
    """
    with guard.Harmless(by):
        if current.point.get() is not None and not is_branch(work):
            return Fork(by, detached=detached).wrap(work, name_of(work))
    return work


def join(*forks: Fork) -> None:
    """Record a point that references (FollowsFrom) each branch of *forks* that has ended, and names the others.

    It never waits: the caller has to wait before the call. A branch is referenced by one join only.
    """
    try:
        traced = [fork for fork in forks if fork.at is not None and fork.at.origin.flags & SAMPLED]
        branches = [branch for fork in traced for branch in fork.take()]
        if branches:
            _record(traced, branches)
    except Exception as fault:
        guard.swallow("join", fault)


def _record(forks: list[Fork], branches: list[Branch]) -> None:
    at = cast("Point", forks[0].at)
    above = current.point.get()
    here = above if above is not None and above.origin.trace_id == at.origin.trace_id else at
    tags = {names.JOIN: ", ".join(sorted({fork.name for fork in forks})), **_outcome_tags(branches)}
    joined = [branch for branch in branches if branch.ended or branch.sent]
    tracer = global_tracer.get_tracer()
    size = max(1, min(MAX_LINKS, (tracer.max_span_chars - _REST_BYTES) // _LINK_BYTES))
    parts = [joined[start : start + size] for start in range(0, len(joined), size)] or [[]]
    link_to_last_part: list[tuple[str, int, int]] = []
    for number, part in enumerate(parts, 1):
        if len(parts) > 1:
            tags = {**tags, names.JOIN_PART: f"{number}/{len(parts)}"}
        point = tracer.open_point(here, "join", {"joined": len(part)}, tags=tags, above=above)
        if point.span is not None:
            links = [(names.FOLLOWS_FROM, cast("Point", branch.at).origin.trace_id, branch.span_id) for branch in part]
            point.span.links = links + link_to_last_part
            link_to_last_part = [(names.FOLLOWS_FROM, here.origin.trace_id, point.span.span_id)]
        point.end()


def _outcome_tags(branches: list[Branch]) -> dict[str, Any]:
    """Tags that count and name the branches that did not simply end without an error."""
    branches_by_tag: dict[str, list[Branch]] = {}
    for branch in branches:
        if branch.ended:
            tag = names.JOIN_FAILED if branch.failed else ""
        elif branch.sent:
            tag = names.JOIN_ELSEWHERE
        elif not branch.entered:
            tag = names.JOIN_NEVER_ENTERED
        else:
            tag = names.JOIN_ABANDONED if branch.abandoned else names.JOIN_UNFINISHED
        if tag:
            branches_by_tag.setdefault(tag, []).append(branch)
    tags: dict[str, Any] = {}
    for tag, tagged in branches_by_tag.items():
        tags[tag] = len(tagged)
        tags[f"{tag}.names"] = ", ".join(sorted({branch.name for branch in tagged})[:_NAMES_SHOWN])
    return tags
