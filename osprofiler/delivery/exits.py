# SPDX-License-Identifier: Apache-2.0
"""Deliver what is queued when the process ends, in the ways in which services end, each with a deadline.

``atexit`` is one of them. Children of multiprocessing and workers of oslo.service and cotyledon leave by ``os._exit``,
which runs no ``atexit``: the former run their finalizers first, and the latter return from a wait or a stop that can be
followed. There are no signal handlers: those are the service's.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import wrapt

from osprofiler import config
from osprofiler._runtime import ending, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.delivery import registry
from osprofiler.delivery.queue import Entry, Recorded, Started

_installed = False


def install() -> None:
    """Install the hooks, once; those of libraries when the library is imported."""
    global _installed
    if _installed:
        return
    _installed = True
    atexit.register(at_end)
    wrapt.register_post_import_hook(_follow_multiprocessing, "multiprocessing.util")
    _wrapping.install()


def at_exit() -> None:
    """Flush every reporter of this process, which may end now, within one deadline for all, and say what is left."""
    left: list[Entry] = []
    for each in registry.living():
        with guard.Harmless("exit"):
            each.flush(ending.seconds_left(config.current().flush_timeout_s))
            left += each.waiting()
    if left:
        guard.warn_once("exit", "the process ends before %s were delivered", _in_words(left))
    else:
        ending.clear_deadline()


def at_end() -> None:
    """The same in a process that does end: what still comes is delivered at once, in the flow that brings it."""
    at_exit()
    ending.begin()
    for each in registry.living():
        with guard.Harmless("exit"):
            each.end()
    never_stopped = guard.totals()["open"]
    if never_stopped > 0:
        guard.warn_once("open", "the process ends with %d spans that were started and not stopped", never_stopped)


def _in_words(entries: Sequence[Entry]) -> str:
    """How many spans *entries* are of, be it their start, their end or both, and how many records made by hand."""
    records = sum(isinstance(entry, Recorded) for entry in entries)
    spans = {id(entry.span if isinstance(entry, Started) else entry) for entry in entries}
    words = [f"{len(spans) - records} spans"] if len(spans) > records else []
    if records:
        words.append(f"{records} records")
    return " and ".join(words)


def _follow_multiprocessing(util: Any) -> None:
    def finalize(_: object = None) -> None:
        util.Finalize(None, at_end, exitpriority=0)

    finalize()
    # A child clears the finalizers of its parent.
    util.register_after_fork(at_end, finalize)


def _flush_after(method: Method) -> Method:
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        finally:
            at_exit()

    return run


def _flush_after_its_stop(graceful_shutdown: Method) -> Method:
    """The handler of SIGTERM, if there is one, stops the service (nova-compute is such a one) and leaves."""

    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.service.stop = _flush_after(self.service.stop)
        return graceful_shutdown(self, *args, **kwargs)

    return run


def _flush_within(exit_on_exception: Method) -> Method:
    """It stands around all that a worker does, and leaves where that ends in a stop or a fault."""

    @contextlib.contextmanager
    def run(*args: Any, **kwargs: Any) -> Iterator[None]:
        with exit_on_exception(*args, **kwargs):
            try:
                yield
            finally:
                at_exit()

    return run


_wrapping = Wrapping(
    # oslo.service's own last call in a green worker. The first is where the class was before oslo.service 4.0 had
    # backends. Its native workers are cotyledon's.
    Target("oslo_service.service", "Launcher", "wait", _flush_after),
    Target("oslo_service.backend._eventlet.service", "Launcher", "wait", _flush_after),
    Target("oslo_service.backend._threading.service", "ProcessLauncher", "_graceful_shutdown", _flush_after_its_stop),
    Target("cotyledon._utils", "", "exit_on_exception", _flush_within),
)
