# SPDX-License-Identifier: Apache-2.0
"""A flush waits until every entry that was accepted before it has left the process or is lost."""

from __future__ import annotations

import time
from collections import deque

from osprofiler._runtime import native


class FlushPoint:
    """A place in the order of entries, behind the *accepted* ones. It is reached when all of these are out or lost."""

    def __init__(self, accepted: int, lost: int) -> None:
        self.accepted = accepted
        self.reached = False
        self.without_loss = False  # no entry was lost since it was set; known when it is reached
        self._lost = lost
        self._lock = native.lock()
        self._lock.acquire()

    def reach(self, lost: int) -> None:
        """Mark the point as reached, and wake the flow that waits. *lost* entries have been lost so far."""
        self.without_loss = lost == self._lost
        self.reached = True
        self._lock.release()

    def wait(self, timeout_s: float) -> None:
        """Wait, in any flow of control, until the point is reached, *timeout_s* seconds at most."""
        if not native.is_green():
            self._lock.acquire(timeout=max(timeout_s, 0))
            return
        deadline = time.monotonic() + timeout_s
        native.pause_until(lambda: self.reached or time.monotonic() >= deadline)


class FlushPoints:
    """The points ahead, in the order of their entries. Any thread may set one; only the reporter reaches them."""

    def __init__(self) -> None:
        self._ahead: deque[FlushPoint] = deque()

    def __bool__(self) -> bool:
        return bool(self._ahead)

    def set(self, accepted: int, lost: int) -> FlushPoint:
        """Set a point behind the *accepted* entries so far; *lost* of them have been lost."""
        point = FlushPoint(accepted, lost)
        self._ahead.append(point)
        return point

    def reach(self, handled: int, lost: int) -> None:
        """Reach the points behind the *handled* entries; *lost* of them have been lost."""
        ahead = self._ahead
        while ahead and ahead[0].accepted <= handled:
            ahead.popleft().reach(lost)
