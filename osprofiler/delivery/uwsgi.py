# SPDX-License-Identifier: Apache-2.0
"""Delivery under uWSGI in a process that eventlet or gevent has patched.

There greenthreads run only during a request. Between requests the process waits in C, outside of the hub, and spans
would wait for the next request. So the reporter, a greenthread, gets a moment after each request. This is not needed
if uWSGI itself runs the hub (``--gevent``).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from osprofiler._runtime import guard, native

#: The longest delivery after a request, in seconds.
MOMENT_S = 0.1
#: The pause after a delivery that did not deliver all, in seconds. The collector may not answer.
PAUSE_S = 10.0

_installed = False


def install(flush: Callable[[float], bool]) -> None:
    """Call *flush* after each request, if this process needs it. A second call does nothing.

    *flush* takes the seconds that it may last, and returns whether all is delivered.
    """
    global _installed
    if _installed or not native.patched():
        return
    try:
        server: Any = importlib.import_module("uwsgi")  # exists only in the processes of uWSGI
    except ImportError:
        return
    if getattr(server, "loop", None):
        return
    _installed = True
    server.after_req_hook = _after_request(ShortDeliveries(flush), getattr(server, "after_req_hook", None))


class ShortDeliveries:
    """Short deliveries in the flow of the service, with a pause after one that did not deliver all.

    *deliver* takes the seconds that it may last, and returns whether all is delivered.
    """

    def __init__(self, deliver: Callable[[float], bool]) -> None:
        self._deliver = deliver
        self._not_before = 0.0

    def run(self) -> None:
        now = time.monotonic()
        if now >= self._not_before and not self._deliver(MOMENT_S):
            self._not_before = now + PAUSE_S


def _after_request(deliveries: ShortDeliveries, before: Callable[[], Any] | None) -> Callable[[], None]:
    """Make uWSGI's hook after a request: it calls the hook that was there *before*, and then delivers."""

    def run() -> None:
        if before is not None:
            before()
        with guard.Harmless("uwsgi"):
            deliveries.run()

    return run
