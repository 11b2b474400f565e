# SPDX-License-Identifier: Apache-2.0
"""Fixes what differs from run to run: ids, clocks, host, process id and version, before osprofiler is imported."""

from __future__ import annotations

import importlib
import os
import random
import socket
from typing import Any

#: Nanoseconds since the epoch, and of the monotonic clock, at which each case begins.
WALL_NS = 1_790_000_000_123_456_000
TICK_NS = 77_000_000_000

_made: list[random.Random] = []


class Seeded(random.Random):
    """A generator that :meth:`Clock.begin` sets back to its first number."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1 if seed is None else seed)
        _made.append(self)


class Clock:
    """Stands still but for :meth:`pass_us`, so that nobody's reading of it changes what is recorded."""

    def __init__(self) -> None:
        self._passed_ns = 0

    def begin(self) -> None:
        """Set clocks and generators of ids back."""
        self._passed_ns = 0
        for generator in _made:
            generator.seed(1)

    def pass_us(self, us: int) -> None:
        """Let *us* microseconds pass."""
        self._passed_ns += us * 1000

    def wall_ns(self) -> int:
        return WALL_NS + self._passed_ns

    def tick_ns(self) -> int:
        return TICK_NS + self._passed_ns


def fix(clocks_module: str) -> Clock:
    """Fix all of it; *clocks_module* is osprofiler's own module of clocks."""
    random.Random = Seeded  # type: ignore[misc]
    socket.gethostname = lambda: "host-1"
    os.getpid = lambda: 4242
    clock = Clock()
    clocks = importlib.import_module(clocks_module)
    vars(clocks).update(wall_ns=clock.wall_ns, tick_ns=clock.tick_ns)
    vars(importlib.import_module("osprofiler")).update(__version__="5.0.0")
    return clock
