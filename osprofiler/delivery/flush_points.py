# SPDX-License-Identifier: Apache-2.0
"""Moments that somebody waits for in a flush: until all that was accepted before has been dealt with."""

from __future__ import annotations

from collections import deque

from osprofiler._runtime import native


class Mark:
    """One such moment: passed when *accepted* entries have been dealt with."""

    def __init__(self, accepted: int, lost: int) -> None:
        self.accepted = accepted
        self.passed = False
        self.whole = False  # nothing has been lost since the mark was set
        self._lost = lost
        self._lock = native.lock()
        self._lock.acquire()

    def pass_by(self, lost: int) -> None:
        self.whole = lost == self._lost
        self.passed = True
        self._lock.release()

    def wait(self, timeout_s: float) -> None:
        """Block this native thread until the mark is passed, *timeout_s* seconds at most."""
        self._lock.acquire(timeout=max(timeout_s, 0))


class Marks:
    """The marks not passed yet, in the order of their entries. Anybody sets one, the reporter alone passes them."""

    def __init__(self) -> None:
        self._ahead: deque[Mark] = deque()

    def __bool__(self) -> bool:
        return bool(self._ahead)

    def set(self, accepted: int, lost: int) -> Mark:
        """Set a mark behind the *accepted* entries so far, of which *lost* have been lost."""
        mark = Mark(accepted, lost)
        self._ahead.append(mark)
        return mark

    def pass_by(self, handled: int, lost: int) -> None:
        """Pass the marks before the entry after the *handled* ones."""
        ahead = self._ahead
        while ahead and ahead[0].accepted <= handled:
            ahead.popleft().pass_by(lost)
