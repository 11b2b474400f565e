# SPDX-License-Identifier: Apache-2.0
"""Follows the policy file: a unit of work that begins looks, now and then, whether the file has changed.

There is no thread at rest. A look costs one ``stat``; a file that has changed is read in a thread of its own, since it
may be on a disk that hangs. The unit of work that finds it changed waits for that, some milliseconds, and is then
decided by it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from osprofiler._runtime import native
from osprofiler.config.policy import Policy
from osprofiler.config.policy_text import PolicyError, load
from osprofiler.config.table import Settings
from osprofiler.context.background import Background

LOG = logging.getLogger(__name__)

#: Seconds between two looks.
INTERVAL_S = 5.0
#: Seconds that a unit of work waits for a changed file at most.
PATIENCE_S = 0.25

_State = tuple[int, int, int]


class PolicyFile:
    """The policy in *path*, kept up to date, with the settings of *table*.

    *changed* is called after each change, in the thread that read it.

    A file that is broken, or gone, is one line in the log, and the last good policy stays.
    """

    def __init__(self, path: str, changed: Callable[[], None], table: type = Settings) -> None:
        self.path = path
        self.policy = Policy()
        self._changed = changed
        self._table = table
        self._seen: _State | None = None
        self._due = 0.0
        self._reader = Background(self._follow, "osprofiler-policy", "policy")

    def read(self) -> None:
        """Read the file now, whatever was seen of it before."""
        self._due = time.monotonic() + INTERVAL_S
        state = self._state()
        try:
            self.policy = load(self.path, self._table)
        except PolicyError as fault:
            LOG.error(
                "the policy %s is broken, the one before stays; `osprofiler policy check %s`: %s",
                self.path,
                self.path,
                fault,
            )
        except (OSError, UnicodeDecodeError) as fault:
            LOG.error("the policy %s cannot be read, the one before stays: %s", self.path, fault)
        else:
            LOG.info("following the policy %s", self.path)
        self._seen = state

    def look(self) -> None:
        """Have the file read if it has changed; at most one ``stat`` in ``INTERVAL_S``.

        The reading is waited for, though never longer than ``PATIENCE_S``: so what begins now goes by a policy that is
        at most an interval old, however long nothing has begun before.
        """
        now = time.monotonic()
        if now < self._due or native.foreign():
            return
        self._due = now + INTERVAL_S
        if self._state() != self._seen:
            self._reader.begin(PATIENCE_S)

    def _follow(self) -> None:
        self.read()
        self._changed()

    def _state(self) -> _State | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
