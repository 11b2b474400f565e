# SPDX-License-Identifier: Apache-2.0
"""What a forked child does anew, and how it is noticed: also in servers that fork in C (uWSGI), where Python's hooks
need not run, and at a price that each span can pay.

The kernel hands children a page of memory wiped (``MADV_WIPEONFORK``, Linux 4.14, madvise(2)), so one look at it tells.
Elsewhere the pid is asked for, which is a system call.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import Any

_WIPE_ON_FORK = 18  # <asm-generic/mman-common.h>; Python has no name for it
_NO_ADVICE = 0x7FFF_FFFF

_in_child: list[Callable[[], None]] = []


class _Pid:
    """Has the page's manners where the kernel cannot wipe one."""

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
    return _Pid()  # some emulators take any advice, and follow none


#: ``if not marker[0]: take_over()`` in whatever must not go on with a parent's state.
marker = _new_marker()


def in_child(function: Callable[[], None]) -> Callable[[], None]:
    """Have *function* called in each forked child, once, in the order of registration. A decorator."""
    _in_child.append(function)
    return function


def take_over() -> None:
    """Make this process's tracing its own, if that has not been done since the fork."""
    if not marker[0]:
        marker[0] = 1
        for function in _in_child:
            function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=take_over)
