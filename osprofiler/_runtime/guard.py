# SPDX-License-Identifier: Apache-2.0
"""The one place where faults of tracing end, and where every loss is counted.

A fault of ours costs data, never the request: callers catch ``Exception`` around *our* lines only, hand it to
:func:`swallow` and go on. ``SystemExit``, ``KeyboardInterrupt``, greenlet and eventlet time-outs are no ``Exception``
and pass through.
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

#: A repeated fault of one kind is logged once in so many seconds.
REPEAT_S = 60.0

#: What happened, by name: ``queued``, ``sent``, ``delivered``, ``dropped.<reason>``, ``fault.<where>``.
counters: Counter[str] = Counter()


class Spans:
    """The sampled spans of this process.

    Each span pays for these, so they are plain integers, changed by ``+=`` alone (``queue`` says why that is exact).
    Whoever takes a span that ended counts it as ended: a reporter with a queue has counted it anyway.
    """

    __slots__ = ("ended", "started", "without_store")

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        self.started = 0
        self.ended = 0  # as far as the reporters have told
        self.without_store = 0  # ended too, where no store is configured


spans = Spans()

_sources: list[Callable[[], Mapping[str, int]]] = []

_last_logged: dict[str, float] = {}
# Re-entrant: a signal handler may count while the code it interrupted does. Native, also where eventlet has patched
# threading.
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
    """Have *function* asked for further numbers when somebody asks for all of them. A decorator."""
    _sources.append(function)
    return function


def totals() -> dict[str, int]:
    """The counters, and what their sources say now."""
    more = [each() for each in _sources]  # first: they may bring the counters up to date
    found = Counter(counters)
    for each in more:
        found.update(each)
    found["dropped.no_store"] += spans.without_store
    ended = spans.ended + spans.without_store  # before those that started: what starts and ends meanwhile is not open
    started = spans.started
    return {**{name: number for name, number in found.items() if number}, "started": started, "open": started - ended}


def is_mute() -> bool:
    """Whether nothing may be logged here.

    In a native thread beside eventlet's hub, a handler that yields would stall the greenthreads. While the interpreter
    is finalizing, a handler's lock may be held by a thread that does not run any more.
    """
    return native.foreign() or sys.is_finalizing()


def warn_once(kind: str, message: str, *args: object) -> None:
    """Log a warning at once, and again at most once a minute for the same *kind*; nothing where logging is_mute."""
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
    """End a fault of tracing here: count it under ``fault.<where>`` and log its type.

    The fault's own text stays out of the log: it may come from an application object whose ``__str__`` raises, or
    hold a secret.
    """
    try:
        kind = type(fault).__name__
        count(f"fault.{where}")
        if is_mute():  # asking for the level takes logging's lock too
            return
        warn_once(f"{where}:{kind}", "tracing fault in %s: %s (the service is not affected)", where, kind)
        if LOG.isEnabledFor(logging.DEBUG):
            LOG.debug("tracing fault in %s: %s\n%s", where, kind, "".join(traceback.format_tb(fault.__traceback__)))
    except Exception:
        pass  # a log filter that raises, the end of the stack: nobody is left to tell


class Harmless:
    """``with Harmless("web.extract"):`` runs lines of ours whose fault must not reach the service."""

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


@forks.anew
def _start_over() -> None:
    # A lock of its own: the parent may have held the old one.
    global _lock
    _lock = _thread.RLock()
    counters.clear()
    spans.start_over()
    _last_logged.clear()
