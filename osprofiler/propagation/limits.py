# SPDX-License-Identifier: Apache-2.0
"""What a key with limits can do for one request: its end, the age of what it has signed, its rate, and what it may ask.

The limits are checked where a request arrives with the key. The service then signs the trace with its own key, so that
nobody behind checks them again.
"""

from __future__ import annotations

import _thread
import functools
import hashlib
import hmac
import secrets
from collections.abc import Callable

from osprofiler._runtime import clocks, forks, guard
from osprofiler.config import sampler_spec
from osprofiler.config.limited_key import LimitedKey
from osprofiler.context.identity import Identity
from osprofiler.context.trace_context import SAMPLED, TraceContext
from osprofiler.context.undecided import Later, Verdict

#: Why a key was refused, as counters show it: it has ended; what it signed is too old or from the future, or has no
#: time; it is over its rate; it is not for the sender of the request. MAY is no refusal of the trace: the request has
#: asked for more than the key may.
ENDED, AGE, NO_TIME, RATE, WHOM, MAY = "key.ended", "key.age", "key.no_time", "key.rate", "key.whom", "key.may"

#: Trusted unsigned context is over its rate; and debug ids are.
TRUSTED_RATE, DEBUG_RATE = "trusted.rate", "debug.rate"

#: Returns who sends a request; None while that is not known.
Who = Callable[[], Identity | None]

#: How long the decision on a trace counts for its other requests, in seconds. A client sends many in one trace.
KEPT_S = 30.0
#: How many requests of one trace a decision counts for, and how many traces are remembered.
MAX_REQUESTS = 100
_MAX_TRACES = 1024

_tick_ns = clocks.tick_ns


class Refused(Exception):
    """The key does not allow the request. ``reason`` is the name of a counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def admitted(
    key: LimitedKey, context: TraceContext, signed_at_s: int | None, signing_key: str | None
) -> tuple[TraceContext, bool]:
    """The *context* that *key* has signed as far as *key* allows it, with *signing_key*; and whether it is all of it.

    *signed_at_s*: seconds since the epoch, None if the format has no time. A "not sampled" needs no rate: it only
    leaves something out. Raises Refused.
    """
    now_s = clocks.wall_ns() / 1e9
    if now_s >= key.until_s:
        raise Refused(ENDED)
    if key.limits_age:
        if signed_at_s is None:
            raise Refused(NO_TIME)
        if not -key.clock_skew_s <= now_s - signed_at_s <= key.max_age_s + key.clock_skew_s:
            raise Refused(AGE)
    if context.sampled and not is_within(key.rate, key.name, context.trace_id, signing_key):
        raise Refused(RATE)
    granted = context.asked & key.may
    # No debug flag: with it a collector would have to keep the trace.
    return context._replace(
        hmac_key=signing_key, flags=context.flags & SAMPLED, asked=granted
    ), granted == context.asked


def later(key: LimitedKey, who: Who | None) -> Later | None:
    """The decision that has to wait until it is known *who* sends the request; None if *key* is for everybody.

    Raises Refused if nobody will know it.
    """
    if not key.limits_whom:
        return None
    if who is None:
        raise Refused(WHOM)

    def decide(identity: Identity) -> Verdict:
        is_for = key.is_for(identity)
        if not is_for:
            guard.count(WHOM)
        return is_for, {}

    return Later(who, decide)


def both(first: Later | None, second: Later | None) -> Later | None:
    """A decision that says yes if *first* and *second* do."""
    if first is None or second is None:
        return first or second

    def decide(identity: Identity) -> Verdict:
        verdict = first.decide(identity)
        return second.decide(identity) if verdict[0] else verdict

    return Later(second.who, decide)


def is_within(rate: str, name: str, trace_id: int, signing_key: str | None) -> bool:
    """Whether a request of the trace *trace_id* is within *rate*, a sampler; empty: always. A *name* has one bucket.

    *signing_key*: the key of this service.
    """
    if not rate:
        return True
    spec = sampler_spec.parse(rate)
    if spec.kind == "ratelimiting":
        return _bucket(name, spec.rate).admits(trace_id)
    if spec.kind == "probabilistic":
        return _is_in_share(spec.rate, trace_id, signing_key)
    return spec.rate == 1


def _is_in_share(share: float, trace_id: int, signing_key: str | None) -> bool:
    """Whether a trace is in the *share* of traces to admit.

    The sender has chosen the id. So it is hashed with a key that the sender does not know. All services have this key,
    so they decide alike.
    """
    secret = signing_key.encode("utf-8", "surrogatepass") if signing_key else _own_secret
    digest = hmac.new(secret, f"share {trace_id:032x}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


_own_secret = secrets.token_bytes(32)


class Bucket:
    """At most *per_second* traces a second; after a rest, as many at once as in a second, but at least one.

    The decision on a trace counts for its later requests too, else only a part of them would be in the trace.
    """

    def __init__(self, per_second: float) -> None:
        self._per_ns = per_second / 1e9
        self._most = max(per_second, 1.0) if per_second else 0.0
        self._credit = self._most
        self._filled_ns = _tick_ns()
        # By trace: the decision, until when it counts, and for how many requests more.
        self._traces: dict[int, tuple[bool, int, int]] = {}
        self._lock = _thread.allocate_lock()

    def admits(self, trace_id: int) -> bool:
        """Whether a request of the trace *trace_id* is admitted."""
        with self._lock:
            now = _tick_ns()
            decision, until, left = self._traces.pop(trace_id, (False, 0, 0))
            if now >= until or left == 0:
                decision, until, left = self._take(now), now + int(KEPT_S * 1e9), MAX_REQUESTS
            self._traces[trace_id] = decision, until, left - 1
            if len(self._traces) > _MAX_TRACES:
                del self._traces[next(iter(self._traces))]
            return decision

    def _take(self, now: int) -> bool:
        self._credit = min(self._most, self._credit + (now - self._filled_ns) * self._per_ns)
        self._filled_ns = now
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True


@functools.lru_cache(maxsize=1024)
def _bucket(name: str, per_second: float) -> Bucket:
    """The bucket of a key, which stays when other parts of the policy change."""
    return Bucket(per_second)


#: In a forked child the buckets are full, and no thread of the parent holds their locks.
forks.in_child(_bucket.cache_clear)
