# SPDX-License-Identifier: Apache-2.0
"""asyncio: tasks, callbacks and work for an executor become branches.

Every task (of ``create_task``, ``gather`` or a TaskGroup) and all work for an executor are ChildOf branches: the
creator waits for them. Callbacks of loops, futures and tasks are FollowsFrom branches: nobody waits for them.

Tasks, callbacks and the work of ``to_thread`` have a copy of their creator's context. So they are in the same trace
without this module too, but then they look like a part of the point that was current.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch import Branch
from osprofiler.concurrency.branch_callable import argument_as_branch, branch_for, is_machinery, wrap_as_branch
from osprofiler.context import current
from osprofiler.context.pieces import Pieces

MODEL = "asyncio"


class BranchCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine whose steps run in a branch, from the first step to the end.

    A coroutine that is cancelled before its first step makes no branch.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], branch: Branch) -> None:
        self._coroutine = coroutine
        self._branch: Branch | None = branch
        self._pieces: Pieces | None = None

    def send(self, value: Any) -> Any:
        return self._step(self._coroutine.send, value)

    def throw(self, *fault: Any) -> Any:
        if self._pieces is None:
            self._branch = None
        return self._step(self._coroutine.throw, *fault)

    def close(self) -> None:
        if self._pieces is None:
            self._branch = None
        self._step(self._coroutine.close)
        if self._pieces is not None:
            with self._pieces:
                self._end(GeneratorExit())

    def __del__(self) -> None:
        if self._branch is not None and self._pieces is not None:
            self.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> BranchCoroutine:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and not name.endswith("__"):
            raise AttributeError(name)
        return getattr(self._coroutine, name)  # cr_frame, cr_code, __qualname__

    def _step(self, resume: Any, *args: Any) -> Any:
        branch = self._branch
        if branch is None:
            return resume(*args)
        is_first_step = self._pieces is None
        pieces = self._pieces = self._pieces or Pieces(current.point.get())
        with pieces:
            if is_first_step:
                branch.__enter__()
            try:
                return resume(*args)
            except StopIteration:
                self._end(None)
                raise
            except BaseException as fault:
                self._end(fault)
                raise

    def _end(self, fault: BaseException | None) -> None:
        branch, self._branch = self._branch, None
        if branch is not None:
            branch.leave(fault)


def _create_task(create_task: Method) -> Method:
    def run(self: Any, /, coro: Any, **kwargs: Any) -> Any:
        if current.point.get() is not None:
            coro = _as_branch(coro)
        return create_task(self, coro, **kwargs)

    return run


def _as_branch(coro: Any) -> Any:
    if not isinstance(coro, Coroutine) or isinstance(coro, BranchCoroutine):
        return coro
    with guard.Harmless(MODEL):
        if not _is_machinery(coro):
            branch = branch_for(MODEL, _name_of(coro))
            if branch is not None:
                return BranchCoroutine(coro, branch)
    return coro


def _is_machinery(coro: Any) -> bool:
    frame = getattr(coro, "cr_frame", None)
    module = frame.f_globals.get("__name__", "") if frame is not None else ""
    return str(module).partition(".")[0] == "asyncio"


def _name_of(coro: Any) -> str:
    frame = getattr(coro, "cr_frame", None)
    module = frame.f_globals.get("__name__") if frame is not None else None
    name = getattr(coro, "__qualname__", None) or type(coro).__qualname__
    return f"{module}.{name}" if module else str(name)


def _call_soon(call_soon: Method) -> Method:
    def run(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return call_soon(self, _callback(callback, context), *args, context=context)

    return run


def _call_at(call_at: Method) -> Method:
    def run(self: Any, when: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return call_at(self, when, _callback(callback, context), *args, context=context)

    return run


def _callback(callback: Any, context: Context | None) -> Any:
    """Return *callback* as a branch of the point that is current in *context*, in which the loop will call it."""
    if is_machinery(callback):  # asyncio schedules every step of every task as a callback
        return callback
    if context is None:
        return wrap_as_branch(MODEL, callback, detached=True)
    try:
        return context.run(wrap_as_branch, MODEL, callback, detached=True)
    except RuntimeError:  # the caller runs in this context already
        return wrap_as_branch(MODEL, callback, detached=True)


_LOOP = "asyncio.base_events", "BaseEventLoop"

# call_later calls call_at, to_thread calls run_in_executor, and all functions that create a task call create_task.
_wrapping = Wrapping(
    Target(*_LOOP, "create_task", _create_task),
    Target(*_LOOP, "run_in_executor", argument_as_branch(MODEL, 2, "func", applied=True)),
    Target(*_LOOP, "call_soon", _call_soon),
    Target(*_LOOP, "call_soon_threadsafe", _call_soon),
    Target(*_LOOP, "call_at", _call_at),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
