# SPDX-License-Identifier: Apache-2.0
"""Equal work that several threads want at the same time is done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """The results of work that runs now, by its key. Nothing is kept after its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[T]] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of *make*, or of the equal work that runs already in another thread; or its exception."""
        with self._lock:
            running = self._running.get(key)
            if running is None:
                own = self._running[key] = Future()
        if running is not None:
            return running.result()
        try:
            result = make()
        except BaseException as fault:
            own.set_exception(fault)
            raise
        else:
            own.set_result(result)
            return result
        finally:
            with self._lock:
                del self._running[key]
