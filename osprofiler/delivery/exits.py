# SPDX-License-Identifier: Apache-2.0
"""Deliver the queued entries when the process ends, within a deadline, for each way in which services end.

``atexit`` is one way. Children of multiprocessing, and workers of oslo.service and cotyledon, leave by ``os._exit``,
which does not run ``atexit``. The children run their finalizers first. The workers return from a wait or a stop, which
this module wraps. It sets no signal handlers, which belong to the service.
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
    """Install the hooks, once. The hooks of a library are installed when the library is imported."""
    global _installed
    if _installed:
        return
    _installed = True
    atexit.register(at_end)
    wrapt.register_post_import_hook(_follow_multiprocessing, "multiprocessing.util")
    _wrapping.install()


def at_exit() -> None:
    """The process may end now: flush all reporters within one deadline, and log how much is left."""
    left: list[Entry] = []
    for reporter in registry.living():
        with guard.Harmless("exit"):
            reporter.flush(ending.seconds_left(config.current().flush_timeout_s))
            left += reporter.waiting()
    if left:
        guard.warn_once("exit", "the process ends before %s were delivered", _in_words(left))
    else:
        ending.clear_deadline()


def at_end() -> None:
    """The process ends: flush as :func:`at_exit`. A later entry is delivered at once, in the flow that reports it."""
    at_exit()
    ending.begin()
    for reporter in registry.living():
        with guard.Harmless("exit"):
            reporter.end()
    never_stopped = guard.totals()["open"]
    if never_stopped > 0:
        guard.warn_once("open", "the process ends with %d spans that were started but not stopped", never_stopped)


def _in_words(entries: Sequence[Entry]) -> str:
    """How many spans have their start, end or both in *entries*, and how many records of service code are there."""
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
    """Wrap the service's handler of SIGTERM, which stops the service and leaves (nova-compute has one)."""

    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.service.stop = _flush_after(self.service.stop)
        return graceful_shutdown(self, *args, **kwargs)

    return run


def _flush_within(exit_on_exception: Method) -> Method:
    """Wrap the context manager around all work of a worker. It leaves when the work stops or fails."""

    @contextlib.contextmanager
    def run(*args: Any, **kwargs: Any) -> Iterator[None]:
        with exit_on_exception(*args, **kwargs):
            try:
                yield
            finally:
                at_exit()

    return run


_wrapping = Wrapping(
    # The last call of oslo.service in a green worker. Before oslo.service 4.0, which has backends, the class was in the
    # first place. Native workers are those of cotyledon.
    Target("oslo_service.service", "Launcher", "wait", _flush_after),
    Target("oslo_service.backend._eventlet.service", "Launcher", "wait", _flush_after),
    Target("oslo_service.backend._threading.service", "ProcessLauncher", "_graceful_shutdown", _flush_after_its_stop),
    Target("cotyledon._utils", "", "exit_on_exception", _flush_within),
)
