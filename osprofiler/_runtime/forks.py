# SPDX-License-Identifier: Apache-2.0
"""Detect a fork, and run functions in the forked child.

Servers such as uWSGI fork in C, where Python's fork hooks may not run. So each span checks for a fork, and the check
must be cheap. The kernel gives a child a zeroed page of memory (``MADV_WIPEONFORK``, Linux 4.14, madvise(2)), so
reading one byte of it is enough. Where the kernel cannot do that, the pid is compared, which is a system call.
"""

from __future__ import annotations

import mmap
import os
import threading  # noqa: F401  # its own hook must run before ours, which may start threads
from collections.abc import Callable
from typing import Any

_WIPE_ON_FORK = 18  # <asm-generic/mman-common.h>; Python has no name for it
_NO_ADVICE = 0x7FFF_FFFF

_in_child: list[Callable[[], None]] = []


class _Pid:
    """Same interface as the memory page, for kernels that cannot wipe one."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, index: int) -> bool:
        return os.getpid() == self._pid

    def __setitem__(self, index: int, value: int) -> None:
        self._pid = os.getpid()


def _new_marker() -> Any:
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
    except (AttributeError, OSError, ValueError):
        return _Pid()
    try:
        page.madvise(_NO_ADVICE)
    except (OSError, OverflowError):
        page[0] = 1
        return page
    return _Pid()  # some emulators accept any advice and ignore it


#: Zero in a forked child until :func:`take_over`. Use ``if not marker[0]: take_over()`` before using inherited state.
marker = _new_marker()


def in_child(function: Callable[[], None]) -> Callable[[], None]:
    """Decorator: call *function* once in each forked child, in the order of registration."""
    _in_child.append(function)
    return function


def take_over() -> None:
    """Call the registered functions, if this has not been done since the fork."""
    if not marker[0]:
        marker[0] = 1
        for function in _in_child:
            function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=take_over)
