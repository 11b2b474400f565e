# SPDX-License-Identifier: Apache-2.0
"""Follow the changes of the policy file: the start of a unit of work checks, now and then, whether it has changed.

No thread waits for changes. A check costs one ``stat``. A changed file is read in its own thread, because the disk may
hang. The unit of work that notices the change waits for this thread, some milliseconds, and uses the new policy.
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

#: The time between two checks, in seconds.
INTERVAL_S = 5.0
#: The longest time that a unit of work waits for a changed file, in seconds.
PATIENCE_S = 0.25

_State = tuple[int, int, int]


class PolicyFile:
    """The policy in the file *path*, always up to date, with the settings of *table*.

    *changed* is called after each change, in the thread that has read the file. If the file has mistakes or does not
    exist, one line is logged, and the former policy stays in force.
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
        """Read the file now, also if it has not changed."""
        self._due = time.monotonic() + INTERVAL_S
        state = self._state()
        try:
            self.policy = load(self.path, self._table)
        except PolicyError as fault:
            LOG.error(
                "the policy %s has mistakes; the former policy stays in force (run `osprofiler policy check %s`): %s",
                self.path,
                self.path,
                fault,
            )
        except (OSError, UnicodeDecodeError) as fault:
            LOG.error("cannot read the policy %s; the former policy stays in force: %s", self.path, fault)
        else:
            LOG.info("using the policy %s", self.path)
        self._seen = state

    def look(self) -> None:
        """Read the file if it has changed. Checks at most once in ``INTERVAL_S``, with one ``stat``.

        Waits for the reading, at most ``PATIENCE_S``. So the unit of work that begins now uses a policy that is at most
        ``INTERVAL_S`` old, also after a long rest.
        """
        now = time.monotonic()
        if now < self._due or native.is_extra_native_thread():
            return
        self._due = now + INTERVAL_S
        if self._state() != self._seen:
            self._reader.begin(PATIENCE_S)

    def _follow(self) -> None:
        self.read()
        self._changed()

    def _state(self) -> _State | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
