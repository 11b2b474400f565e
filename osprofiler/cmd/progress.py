# SPDX-License-Identifier: Apache-2.0
"""A progress line on standard error, for a command that takes longer than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

_QUIET_S = 1.0
_BETWEEN_S = 0.25
_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """A context manager around the work. It writes nothing if standard error is not a terminal."""

    def __init__(self, activity: str) -> None:
        self._activity = activity
        self._done = 0
        self._total: int | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self, count: int = 1) -> None:
        """Count *count* more items as done."""
        self._done += count

    def over(self, items: Iterable[T], total: int | None = None) -> Iterator[T]:
        """Iterate over *items* and count each one when it is done."""
        self._total = total
        for item in items:
            yield item
            self.step()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._show, name="osprofiler-progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        began = time.monotonic()
        shown = False
        wait_s = _QUIET_S
        while not self._ended.wait(wait_s):
            count = f", {self._done}" if self._done else ""
            of = f" of {self._total}" if count and self._total is not None else ""
            sys.stderr.write(f"{_CLEAR_LINE}osprofiler: {self._activity}{count}{of} ({time.monotonic() - began:.0f} s)")
            sys.stderr.flush()
            shown, wait_s = True, _BETWEEN_S
        if shown:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
