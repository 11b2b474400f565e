# SPDX-License-Identifier: Apache-2.0
"""A branch: one piece of work that another thread, greenthread, task or process does for a request.

Its creator fixes its place in the trace: the point that it belongs to, its type of reference to that point, and its
span id. It does not matter where and when the branch is entered. Nothing here raises in the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from osprofiler import config
from osprofiler._runtime import forks, guard
from osprofiler.context import current, scope
from osprofiler.context.ended_points import BranchPoint, has_ended, liveness_check, root_of
from osprofiler.context.origin import Origin
from osprofiler.context.points import LEFT_TO_PARENT, Point
from osprofiler.context.trace_context import SAMPLED, TraceContext
from osprofiler.propagation import signed
from osprofiler.records import ids, names
from osprofiler.tracer import global_tracer


class Handover(NamedTuple):
    """The data that another process needs to run a branch. It never holds a key: ``key_id`` says which key to use."""

    context: TraceContext  # of the point that the branch belongs to
    key_id: str
    name: str
    fork_name: str
    detached: bool
    info: Mapping[str, Any] | None
    span_id: int  # 0: each entry gets an id of its own


class Branch:
    """``with branch:`` around the work, in any flow of control.

    The first entry is the branch itself, every other entry is an ordinary child span. If the branch is for *many*
    calls, every entry is an ordinary child span. Pickling hands the branch over to the process that unpickles it.
    """

    __slots__ = (
        "__weakref__",
        "_alive",
        "_points",
        "_process",
        "_unused_ids",
        "at",
        "detached",
        "ended",
        "entered",
        "failed",
        "fork_name",
        "info",
        "many",
        "name",
        "only_if_awaited",
        "sent",
        "span_id",
    )

    def __init__(
        self,
        at: Point | None,
        name: str,
        fork_name: str,
        *,
        detached: bool = False,
        info: Mapping[str, Any] | None = None,
        many: bool = False,
        only_if_awaited: bool = False,
        span_id: int | None = None,
    ) -> None:
        self.at = at  # the point that it belongs to; None: no trace is on, and entering it does nothing
        self.name = name
        self.fork_name = fork_name
        # A point that has ended waits for nothing. One that ends later had meant to wait: names.ENTERED_LATE says so.
        self.detached = detached or (at is not None and has_ended(at.span))
        self.info = info
        self.many = many
        self.only_if_awaited = only_if_awaited  # do nothing if it is entered after the end of the point it belongs to
        self.span_id = 0 if many or at is None else span_id or ids.new_span_id()
        self.entered = False
        self.ended = False
        self.failed = False  # ended by an exception
        self.sent = False  # handed over to another process, so this process does not see its end
        self._unused_ids = [self.span_id] if self.span_id else []  # the first entry pops it; list.pop is atomic
        self._points: list[Point] = []
        self._process: object | None = _process  # the only process that may enter it; None: one process, any
        self._alive: Callable[[], bool] | None = None

    @property
    def abandoned(self) -> bool:
        """Whether the flow of control that entered it has ended without closing it."""
        return self.entered and not self.ended and self._alive is not None and not self._alive()

    # Entering and leaving

    def leave(self, fault: BaseException | None = None) -> None:
        """Leave the branch; *fault* is the exception that has ended its work."""
        self.__exit__(None if fault is None else type(fault), fault, None)

    def __enter__(self) -> Branch:
        at = self.at
        if at is None:
            return self
        try:
            if self.only_if_awaited and has_ended(at.span):
                not_followed(self.fork_name)
            else:
                self._points.append(self._open(at))
        except Exception as fault:
            guard.swallow("branch", fault)
        return self

    def _open(self, at: Point) -> Point:
        above = current.point.get()
        if not at.origin.flags & SAMPLED:
            point = Point(None, above, at.origin)  # calls made inside pass "not sampled" on
            current.point.set(point)
            return point
        tags: dict[str, Any] = {names.FORK: self.fork_name}
        span_id = None
        if not self.many:
            span_id = self._take_span_id(tags)
        if self.detached:
            tags[names.DETACHED] = True
        root = root_of(at)
        if has_ended(root):
            tags[names.ENTERED_LATE] = "trace"
        elif not self.detached and has_ended(at.span):
            tags[names.ENTERED_LATE] = "parent"
        tracer = global_tracer.get_tracer()
        point = tracer.open_point(
            at,
            self.name,
            self.info,
            tags=tags,
            span_id=span_id,
            follows=self.detached,
            kind=BranchPoint,
            above=above,
        )
        if isinstance(point, BranchPoint):
            point.root = root or point.span
        return point

    def _take_span_id(self, tags: dict[str, Any]) -> int | None:
        """The branch's span id for its first entry; None for any other entry, and *tags* get the reason."""
        if self._process not in (None, _process):
            tags[names.INHERITED] = True
            return None
        try:
            span_id = self._unused_ids.pop()
        except IndexError:
            tags[names.ENTERED_AGAIN] = True
            return None
        self._alive = liveness_check()
        self.entered = True
        return span_id

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._points:
            return
        try:
            point = self._take_point()
            if point.span is None:
                scope.leave(point)
                return
            point.end(fault=fault)
            if point.span.span_id == self.span_id:
                self.failed = fault is not None
                self.ended = True
        except Exception as own:
            guard.swallow("branch", own)

    def _take_point(self) -> Point:
        """Remove and return the point that this flow entered; several flows may be inside a branch at once."""
        node = current.point.get()
        while node is not None and node not in self._points:
            node = node.parent
        if node is None:
            return self._points.pop()
        self._points.remove(node)
        return node

    # To another process

    def mark_used(self) -> None:
        """Make every entry an ordinary child span: the branch itself has been entered in another place."""
        self._unused_ids.clear()

    def hand_over(self) -> Handover | None:
        """Give the branch to another process. Later entries here are ordinary child spans. None if no trace is on."""
        context = None if self.at is None else self.at.context()
        if context is None:
            return None
        return Handover(
            context._replace(hmac_key=None, baggage=dict(context.baggage)),
            key_id=signed.key_id(context.hmac_key) if context.hmac_key else "",
            name=self.name,
            fork_name=self.fork_name,
            detached=self.detached,
            info=self.info,
            span_id=self._give_span_id() if self._process in (None, _process) else 0,
        )

    def _give_span_id(self) -> int:
        """The branch's span id for the process that it is given to; 0 if the branch was entered or given before."""
        span_id = self._unused_ids.pop() if self._unused_ids else 0
        self.sent = self.sent or span_id != 0
        return span_id

    def for_forked_child(self) -> Branch:
        """Return a branch for a child process that will be forked now. Only the child may enter the result."""
        span_id = self._give_span_id()
        branch = Branch(
            self.at,
            self.name,
            self.fork_name,
            detached=self.detached,
            info=self.info,
            many=not span_id,
            span_id=span_id,
        )
        branch.detached = self.detached  # as its creator fixed it, even if the point above has ended since
        branch._process = None
        return branch

    def __reduce__(self) -> tuple[Callable[..., Branch], tuple[Handover | None]]:
        return received, (self.hand_over(),)


def received(handover: Handover | None) -> Branch:
    """Return the branch that another process with this package has handed over."""
    if handover is None:
        return Branch(None, "", "")
    key = next((key for key in config.current().hmac_keys if signed.key_id(key) == handover.key_id), None)
    return Branch(
        Point(None, None, Origin(handover.context._replace(hmac_key=key))),
        handover.name,
        handover.fork_name,
        detached=handover.detached,
        info=handover.info,
        many=not handover.span_id,
        span_id=handover.span_id,
    )


def not_followed(model: str) -> None:
    """Count a piece of work that the instrumentation of *model* left out of a trace."""
    guard.count(f"not_followed.{model}")


_process = object()


@forks.in_child
def _forked() -> None:
    """In a forked child: leave the parent's open points and branches to the parent."""
    global _process
    _process = object()
    node = current.point.get()
    while node is not None:
        if node.span is not None and hasattr(node.span, "end_tick"):  # spans of another tracer have none
            node.span.end_tick = LEFT_TO_PARENT
        node = node.parent
