# SPDX-License-Identifier: Apache-2.0
"""Tracing of oslo.concurrency's locks: a span for each wait until a lock is acquired.

A lock that is free has no span. It is tried first without waiting; only if that fails, a span is opened for the wait.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import wrapt

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import command, step
from osprofiler.handlers.call import Closing

_NAME = "lock"


def _waiting(name: str, kind: str) -> Closing:
    """A block that waits for the lock *name*: its span."""
    with guard.Harmless("lockutils.start"):
        here = current.sampled()
        if here is not None:
            tags = {"component": "oslo.concurrency", "lock.name": command.text(name), "lock.kind": kind}
            return Closing(step.open_point(here, _NAME, "lock wait", tags))
    return Closing(None)


class _Lock(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic only from wrapt 2 on
    """A lock that knows its name, and is otherwise the library's."""

    def __init__(self, lock: Any, name: str) -> None:
        super().__init__(lock)
        self._self_name = name


class _Semaphore(_Lock):
    """A semaphore: the lock of the threads of a process."""

    def __enter__(self) -> Any:
        acquire = self.__wrapped__.acquire
        if acquire(blocking=False):
            return True
        with _waiting(self._self_name, "internal"):
            return acquire()


class _FileLock(_Lock):
    """A lock of all processes that use one file."""

    def acquire(self, /, blocking: bool = True, *args: Any, **kwargs: Any) -> Any:
        acquire = self.__wrapped__.acquire
        if not blocking:
            return acquire(False, *args, **kwargs)
        if acquire(False):
            return True
        with _waiting(self._self_name, "external"):
            return acquire(True, *args, **kwargs)

    def __enter__(self) -> Any:
        self.acquire()
        return self


class _FairLock(_Lock):
    """A lock of the threads of a process, which get it in the order in which they asked."""

    def write_lock(self) -> _Writing:
        return _Writing(self.__wrapped__, self._self_name)


class _Writing:
    """The block that has a fair lock."""

    __slots__ = ("_block", "_lock", "_name")

    def __init__(self, lock: Any, name: str) -> None:
        self._lock = lock
        self._block = lock.write_lock()
        self._name = name

    def __enter__(self) -> Any:
        lock = self._lock
        # It has no way to try: a thread that takes it between here and the wait costs the span of this wait.
        if (lock.owner is None and not lock.has_pending_writers) or lock.is_writer(check_pending=False):
            return self._block.__enter__()
        with _waiting(self._name, "fair"):
            return self._block.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> Any:
        return self._block.__exit__(kind, fault, trace)


def _internal_lock(original: Method) -> Method:
    def internal_lock(name: str, *args: Any, **kwargs: Any) -> Any:
        lock = original(name, *args, **kwargs)
        # Without blocking it is a block that raises, and no semaphore.
        return lock if current.sampled() is None or not hasattr(lock, "acquire") else _Semaphore(lock, name)

    return internal_lock


def _internal_fair_lock(original: Method) -> Method:
    def internal_fair_lock(name: str) -> Any:
        lock = original(name)
        return lock if current.sampled() is None else _FairLock(lock, name)

    return internal_fair_lock


def _external_lock(original: Method) -> Method:
    def external_lock(name: str, *args: Any, **kwargs: Any) -> Any:
        lock = original(name, *args, **kwargs)
        return lock if current.sampled() is None else _FileLock(lock, name)

    return external_lock


_MODULE = "oslo_concurrency.lockutils", ""
_wrapping = Wrapping(
    Target(*_MODULE, "internal_lock", _internal_lock),
    Target(*_MODULE, "internal_fair_lock", _internal_fair_lock),
    Target(*_MODULE, "external_lock", _external_lock),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
