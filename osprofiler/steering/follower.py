# SPDX-License-Identifier: Apache-2.0
"""Follow the policy of one source: read it now and then, and put each good change in force.

A policy that cannot be read, is not signed as it must be, or has mistakes changes nothing: the former one stays. Each
such state is one line in the log, and so is its end. Of a source that comes and goes there is a line a minute.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence

from osprofiler._runtime import guard, native
from osprofiler.config import settings as in_force
from osprofiler.config.policy import Policy
from osprofiler.config.policy_text import PolicyError, from_bytes
from osprofiler.config.table import Settings
from osprofiler.connection.fault_text import fault_line
from osprofiler.context import scope
from osprofiler.steering import signature
from osprofiler.steering.last_good import LastGood
from osprofiler.steering.sources import Source, Unreadable
from osprofiler.steering.watch import Watch

LOG = logging.getLogger(__name__)

#: How long a read may take, in seconds: the first one, for which the start of the service waits, and a later one.
START_S, READ_S = 2.0, 5.0


class PolicyFollower:
    """Follows the policy of *source*, at least every *interval_s* seconds. It counts if it is signed by one of *keys*.

    Without keys it needs no signature. *changed* is called with each later policy, in the flow of control that has read
    it. *report* is called after each reading, and tells the store which policy is in force.
    """

    def __init__(
        self,
        source: Source,
        changed: Callable[[Policy], None],
        *,
        interval_s: float = 5.0,
        keys: Sequence[str] = (),
        last_good: LastGood | None = None,
        report: Callable[[PolicyFollower], None] | None = None,
        before: PolicyFollower | None = None,
        table: type = Settings,
    ) -> None:
        """*before*: the follower of the same source until now. Its policy stays in force until a new one is read."""
        self.source = source
        self.policy: Policy = Policy() if before is None else before.policy
        #: The digest of the policy in force; empty: there is none.
        self.digest: str = "" if before is None else before.digest
        #: When it was put in force in this process, in seconds since the epoch.
        self.since: float = 0.0 if before is None else before.since
        self._changed = changed
        self._keys = keys
        self._last_good = last_good
        self._report = report
        self._table = table
        self._is_told = False  # that the source cannot be read
        self._quiet_until = -math.inf
        self._seen = ""  # the digest of the text that the source had last, good or not
        self._watch = Watch(self._work, interval_s, lambda: in_force.is_watched(self.look))

    def begin(self) -> Policy:
        """Read the policy, and follow it from now on. Return it, or if that is not possible the last good one."""
        with guard.Harmless("policy"), scope.entered(scope.SUPPRESSED):
            self._read(START_S)
        in_force.watch(self.look)
        self._watch.begin()
        return self.policy

    def end(self) -> None:
        """Do not follow it any more."""
        in_force.unwatch(self.look)
        self._watch.end()

    def look(self) -> None:
        """Called at the start of each unit of work: see :meth:`Watch.look`."""
        self._watch.look()

    def _work(self) -> None:
        if self._read(READ_S) and in_force.is_watched(self.look):
            self._changed(self.policy)
        if self._report is not None:
            self._report(self)

    def _read(self, limit_s: float) -> bool:
        """Read the source. Return whether another policy is in force since then."""
        try:
            content = _call(self.source.read, limit_s)
        except Unreadable as fault:
            now = time.monotonic()
            if not self._is_told and now >= self._quiet_until:
                self._is_told, self._quiet_until = True, now + guard.REPEAT_S
                self._complain("cannot read the policy %s; %s: %s", fault)
            return False
        if self._is_told:
            self._is_told = False
            LOG.info("the policy %s can be read again", self.source.shown)
        return content is not None and self._take(content)

    def _take(self, content: bytes) -> bool:
        """Put *content* in force if it is good. Return whether it was not in force before."""
        digest = digest_of(content)
        if digest == self._seen:
            return False
        self._seen = digest
        try:
            policy = self._checked(content)
        except signature.BadSignature as fault:
            self._complain("the policy %s is refused; %s: %s", fault)
        except PolicyError as fault:
            self._complain("the policy %s has mistakes (`osprofiler policy check` lists them); %s: %s", fault)
        except UnicodeDecodeError as fault:
            self._complain("the policy %s is not text in UTF-8; %s: %s", fault)
        else:
            LOG.info("using the policy %s (%s)", self.source.shown, digest)
            if digest != self.digest:
                self._use(policy, digest)
                self._keep(content)
                return True
        return False

    def _checked(self, content: bytes) -> Policy:
        if self._keys:
            signature.check(content, self._keys)
        return from_bytes(content, self._table)

    def _use(self, policy: Policy, digest: str) -> None:
        self.policy, self.digest, self.since = policy, digest, time.time()

    def _complain(self, message: str, fault: Exception) -> None:
        LOG.error(message, self.source.shown, self._instead(), fault)

    def _instead(self) -> str:
        """What is in force instead. If nothing is, use the last good policy on disk."""
        if self.digest:
            return "the former policy stays in force"
        content = self._kept()
        if content is None:
            return "no policy is in force"
        self._use(self._checked(content), digest_of(content))
        return "the last good policy, which is on disk, is in force"

    def _kept(self) -> bytes | None:
        """The last good policy on disk, if it can be used."""
        if self._last_good is None:
            return None
        try:
            content = self._last_good.load()
            if content is not None:
                self._checked(content)
            return content
        except (OSError, RuntimeError, ValueError) as fault:
            LOG.error("the last good policy of %s is not used: %s", self.source.shown, fault_line(fault))
            return None

    def _keep(self, content: bytes) -> None:
        if self._last_good is None:
            return
        try:
            self._last_good.keep(content)
        except (OSError, RuntimeError) as fault:
            guard.warn_once(
                "policy_state",
                "the policy %s cannot be kept for the next start, see [profiler] policy_state_dir: %s",
                self.source.shown,
                fault_line(fault),
            )


def _call(read: Callable[[float], bytes | None], limit_s: float) -> bytes | None:
    """What *read* returns. Other greenthreads run meanwhile, also where sockets are not patched."""
    library = native.greenthread_library()
    if library is None or library.has_green_sockets():
        return read(limit_s)
    return native.call_in_native_thread(read, limit_s)


def digest_of(content: bytes) -> str:
    """The digest of a policy: the first 12 hexadecimal digits of the SHA-256 of its *content*."""
    return hashlib.sha256(content).hexdigest()[:12]
