# SPDX-License-Identifier: Apache-2.0
"""The one place that handles faults of tracing and counts every loss.

A fault of tracing may lose data, but never fails the request. Callers catch ``Exception`` around *our* lines only, pass
it to :func:`swallow` and continue. ``SystemExit``, ``KeyboardInterrupt`` and the time-outs of greenlet and eventlet are
not subclasses of ``Exception``, so they pass through.
"""

from __future__ import annotations

import _thread
import logging
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType

from osprofiler._runtime import ending, forks, native

LOG = logging.getLogger("osprofiler")

#: A repeated fault of one kind is logged once in this time, in seconds.
REPEAT_S = 60.0

#: The number of events, by name: ``queued``, ``sent``, ``delivered``, ``dropped.<reason>``, ``fault.<where>``.
counters: Counter[str] = Counter()


class Spans:
    """The numbers of sampled spans of this process.

    Each span updates them, so they are plain integers, changed by ``+=`` only (``queue`` explains why that is exact).
    The receiver of an ended span counts it: a reporter with a queue counts its spans already.
    """

    __slots__ = ("ended", "started", "without_store")

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        self.started = 0
        self.ended = 0  # as counted by the reporters
        self.without_store = 0  # ended while no store was configured; not part of ``ended``


spans = Spans()

_sources: list[Callable[[], Mapping[str, int]]] = []

_last_logged: dict[str, float] = {}
# Re-entrant: a signal handler may count while it interrupts a count. Native, also if eventlet has patched threading.
_lock = _thread.RLock()


def count(name: str, by: int = 1) -> None:
    """Add *by* to the counter *name*."""
    with ending.holding(_lock):
        counters[name] += by


def clear() -> None:
    """Set all counters to zero, and log the next fault of each kind at once: for tests."""
    with ending.holding(_lock):
        counters.clear()
        _last_logged.clear()


def source(function: Callable[[], Mapping[str, int]]) -> Callable[[], Mapping[str, int]]:
    """Decorator: *function* returns more counters, by name; :func:`totals` includes them."""
    _sources.append(function)
    return function


def totals() -> dict[str, int]:
    """All counters by name, those of the sources included; ``open`` is the number of spans that have not ended."""
    from_sources = [each() for each in _sources]  # read first: a source may update the counters
    numbers = Counter(counters)
    for each in from_sources:
        numbers.update(each)
    numbers["dropped.no_store"] += spans.without_store
    # Read before ``started``: a span that starts and ends in between must not make ``open`` negative.
    ended = spans.ended + spans.without_store
    started = spans.started
    return {**{name: number for name, number in numbers.items() if number}, "started": started, "open": started - ended}


def is_mute() -> bool:
    """Whether logging is not allowed here.

    In a native thread outside eventlet's hub, a log handler that yields would stall the greenthreads. While the
    interpreter is finalizing, a stopped thread may hold the lock of a handler.
    """
    return native.is_extra_native_thread() or sys.is_finalizing()


def warn_once(kind: str, message: str, *args: object) -> None:
    """Log a warning, at most once a minute for the same *kind*. Log nothing if :func:`is_mute`."""
    if is_mute():
        return
    now = time.monotonic()
    with _lock:
        last = _last_logged.get(kind)
        if last is not None and now - last < REPEAT_S:
            return
        _last_logged[kind] = now
    LOG.warning(message, *args)


def swallow(where: str, fault: BaseException) -> None:
    """Handle a fault of tracing: count it as ``fault.<where>`` and log its type.

    The text of the fault is not logged: it may come from an application object whose ``__str__`` raises, or contain a
    secret.
    """
    try:
        kind = type(fault).__name__
        count(f"fault.{where}")
        if is_mute():  # isEnabledFor() takes a lock of logging too
            return
        warn_once(f"{where}:{kind}", "tracing fault in %s: %s (the service is not affected)", where, kind)
        if LOG.isEnabledFor(logging.DEBUG):
            LOG.debug("tracing fault in %s: %s\n%s", where, kind, "".join(traceback.format_tb(fault.__traceback__)))
    except Exception:
        pass  # a log filter that raises, or a RecursionError: there is no other place to report it


class Harmless:
    """``with Harmless("web.extract"):`` runs lines of tracing, and keeps their faults away from the service."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(fault, Exception):
            swallow(self._where, fault)
            return True
        return False


@forks.in_child
def _start_over() -> None:
    # A new lock: a thread of the parent may hold the old one.
    global _lock
    _lock = _thread.RLock()
    counters.clear()
    spans.start_over()
    _last_logged.clear()
