# SPDX-License-Identifier: Apache-2.0
"""Decide which trace a received carrier continues.

One pure function decides for HTTP, RPC, OpenTracing's extract, branches and the environment.
The first of these that is present counts:

1. our signed text, signed with one of the keys;
2. osprofiler's signed pair, or the ``trace_info`` of a plain peer, with one of the keys;
   a key with limits may refuse the request (``limits``), and then 1 and 2 count as absent;
3. unsigned context of a trusted peer, in a trusted format: Jaeger's, W3C's, B3's, a debug id;
4. the sampler and the policy's rules. Where unsigned context is only joined, or has no decision, they decide about the
   trace of that context.

The first service decides for all services: a continued context is signed and passed on, even if it is not sampled. If
a trace is not continued, its ids become tags, never a reference: a reference into another trace would move the span
there. A malformed field counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from osprofiler.config import trust as trusts
from osprofiler.config.limited_key import LimitedKey
from osprofiler.config.trust import Trust
from osprofiler.context.trace_context import DEBUG, SAMPLED, TraceContext
from osprofiler.context.undecided import Later, Verdict
from osprofiler.propagation import jaeger, limits, signed
from osprofiler.propagation.formats import Format
from osprofiler.propagation.received import Foreign, Received, foreign_tags
from osprofiler.records import ids, names

#: The sampler's decision for a trace id: whether to record the trace, and tags that show the reason. Or how to decide
#: once it is known who asks.
Sample = Callable[[int], Verdict | Later]

#: The same for a request that asks for a trace, and the ids of its key: a rule may name the key.
SampleAsked = Callable[[int, Sequence[str]], Verdict | Later]

#: The tag that shows a continued trace's ``tracestate``.
TRACESTATE_TAG = "w3c.tracestate"

_NO_TAGS: Mapping[str, Any] = {}
_NO_FORMATS: Mapping[str, Format] = {}
_FOR_NOW: Verdict = (True, _NO_TAGS)
_NO_LIMITS: Mapping[str, LimitedKey] = {}


class Decision(NamedTuple):
    """The trace of a received request or message."""

    context: TraceContext | None  # to continue; None: neither a sender nor the sampler has decided
    follows: bool = False  # the sender does not wait: reference FollowsFrom
    tags: Mapping[str, Any] = _NO_TAGS  # for the first span in this process
    begins: bool = False  # the trace begins here, by the sampler, a debug id or a decision without ids
    malformed: int = 0  # how many fields were malformed, and so counted as absent
    later: Later | None = None  # decides whether the trace, which is sampled for now, is kept
    refused: tuple[str, ...] = ()  # what a key did not allow: see ``limits``
    joins: TraceContext | None = None  # without *context*: the trace to record in, if a sampler says yes later


def decide(
    fields: Mapping[str, str],
    keys: Sequence[str],
    *,
    trust: Trust = trusts.SIGNED,
    peer: str | None = None,
    plain: Any = None,
    sample: Sample | None = None,
    sample_asked: SampleAsked | None = None,
    url_encoding: bool = True,
    registered: Mapping[str, Format] = _NO_FORMATS,
    limited: Mapping[str, LimitedKey] = _NO_LIMITS,
    who: limits.Who | None = None,
    trusted_rate: str = "",
    debug_rate: str = "",
) -> Decision:
    """Decide which trace *fields* (names in lower case) continue. Never raises for their content.

    *keys*: the keys that may ask for a trace; the first one signs a context without a key, or with one of *limited*:
    the keys with limits, by their secrets. *trust*: which unsigned context counts. *peer*: who sent the fields (see
    ``Trust.trusts``). *plain*: the ``trace_info`` of an RPC message. *sample*: called only if no sender has decided;
    after its "no" the result is a context that is not sampled. *sample_asked*: called if a key asks for a trace that
    begins here: its sender has no span. *url_encoding*: Jaeger's baggage is percent-encoded. *registered*: formats of
    other packages, which count after ours. *who*: who sends the fields; a key that is for some only is refused without
    it. *trusted_rate*, *debug_rate*: samplers that limit the trusted "yes" of unsigned context, and debug ids; empty:
    no limit.
    """
    received = Received(fields, registered)
    deciding = _Deciding(received)
    context, follows = deciding.signed(keys, plain, limited, who)
    if context is None and not trust.trusts(peer):
        return deciding.sampled(keys, sample)
    foreign: Sequence[Foreign] = received.foreign
    tags: Mapping[str, Any] = _NO_TAGS
    begins = False
    if context is None:
        key = keys[0] if keys else None
        foreign = [one for one in foreign if trust.reads(one.format)]
        context, begins, tags = deciding.trusted(foreign, key, trust)
        if context is not None and (trust.join or not deciding.decided):
            return deciding.joined(received.completed(context, foreign, url_encoding, trust), sample)
        if jaeger.DEBUG_ID in tags:
            context = deciding.limited(context, limits.DEBUG_RATE, debug_rate, begins)
        else:
            context = deciding.limited(context, limits.TRUSTED_RATE, trusted_rate, begins)
        if context is None:
            return deciding.sampled(keys, sample)
    else:
        known = (context.trace_id, context.span_id)
        tags = foreign_tags([one for one in foreign if one.remote[:2] != known])
        if deciding.key is not None:
            tags[names.KEY] = deciding.key.name
        trust = trusts.ALL  # the baggage counts in every format
    context = received.completed(context, foreign, url_encoding, trust)
    if context.tracestate:
        tags = {**tags, TRACESTATE_TAG: context.tracestate}
    tags = tags if context.sampled else _NO_TAGS
    decision = Decision(context, follows, tags, begins, received.malformed, deciding.later, tuple(deciding.refused))
    if sample_asked is None or begins or context.span_id or not (context.sampled and context.hmac_key):
        return decision
    return _ruled(decision, context, sample_asked(context.trace_id, deciding.asked_by))


def _ruled(decision: Decision, context: TraceContext, answer: Verdict | Later) -> Decision:
    """*decision* for *context*, a request with a key, after the *answer* of the rules."""
    if isinstance(answer, Later):
        return decision._replace(later=limits.both(decision.later, answer))
    yes, tags = answer
    if yes:
        return decision._replace(tags={**decision.tags, **tags})
    return decision._replace(context=_unsampled(context), tags=_NO_TAGS, later=None)


def signed_context(fields: Mapping[str, str], keys: Sequence[str]) -> TraceContext | None:
    """The context in *fields* that is signed with one of *keys*, or None."""
    signed_with = Received(fields).signed(keys, None)
    return None if signed_with is None else signed_with.context


class _Deciding:
    """One decision, step by step, and what the steps have found out besides the context."""

    def __init__(self, received: Received) -> None:
        self.decided = True  # by the sender of the trusted context
        self.refused: list[str] = []
        self.key: LimitedKey | None = None  # the key with limits that has signed
        self.asked_by: tuple[str, ...] = ()  # the id of the key that has signed, and its name
        self.later: Later | None = None  # decides whether that key is for the sender
        self._received = received

    def signed(
        self, keys: Sequence[str], plain: Any, limited: Mapping[str, LimitedKey], who: limits.Who | None
    ) -> tuple[TraceContext | None, bool]:
        """The context that is signed with a key which allows it, or None; and whether its sender does not wait."""
        ours = self._received.signed((*keys, *limited) if limited else keys, plain)
        if ours is None:
            return None, False
        key = limited.get(ours.context.hmac_key or "") if ours.context.hmac_key not in keys else None
        self.asked_by = (signed.key_id(ours.context.hmac_key or ""),)
        if key is None:
            return ours.context, ours.follows
        try:
            context, is_all = limits.admitted(key, ours.context, ours.signed_at_s, keys[0] if keys else None)
            self.later = limits.later(key, who) if context.sampled else None
        except limits.Refused as refusal:
            self.refused.append(refusal.reason)
            return None, False
        if not is_all:
            self.refused.append(limits.MAY)
        self.key, self.asked_by = key, (*self.asked_by, key.name)
        return context, ours.follows

    def trusted(
        self, foreign: Sequence[Foreign], key: str | None, trust: Trust
    ) -> tuple[TraceContext | None, bool, Mapping[str, Any]]:
        """The context of the unsigned fields, with *key*; whether the trace begins here; tags for its first span.

        A debug id, or a decision without ids, has nothing to join.
        """
        with_ids = next((one.remote for one in foreign if one.remote.trace_id), None)
        if with_ids is not None:
            self.decided = with_ids.decided
            ids_ = (with_ids.trace_id, with_ids.span_id)
            return TraceContext.from_ids(*ids_, flags=with_ids.flags, hmac_key=key), False, _NO_TAGS
        debug_id = self._received.debug_id
        if trust.join:
            return None, False, _NO_TAGS
        if debug_id and trust.reads("jaeger"):
            return _begun(SAMPLED | DEBUG, key), True, {jaeger.DEBUG_ID: debug_id}
        if foreign:
            return _begun(foreign[0].remote.flags, key), True, _NO_TAGS
        return None, False, _NO_TAGS

    def limited(self, context: TraceContext | None, name: str, rate: str, begins: bool) -> TraceContext | None:
        """The unsigned *context* after its *rate*: over it a new trace does not begin, and another one has a "no"."""
        if context is None or not context.sampled or limits.is_within(rate, name, context.trace_id, context.hmac_key):
            return context
        self.refused.append(name)
        return None if begins else context._replace(flags=0)

    def sampled(self, keys: Sequence[str], sample: Sample | None) -> Decision:
        """The sampler's decision, if no sender has decided."""
        if sample is None:
            return Decision(None, malformed=self._received.malformed, refused=tuple(self.refused))
        trace_id = ids.new_trace_id()
        answer = sample(trace_id)
        later, (yes, tags) = (answer, _FOR_NOW) if isinstance(answer, Later) else (None, answer)
        context = _begun(SAMPLED if yes else 0, keys[0] if keys else None, trace_id)
        if yes:
            tags = {**tags, **foreign_tags(self._received.foreign)}
        tags = tags if yes else _NO_TAGS
        return Decision(context, False, tags, True, self._received.malformed, later, tuple(self.refused))

    def joined(self, context: TraceContext, sample: Sample | None) -> Decision:
        """The sampler's decision about the trace of *context*, whose sender has decided otherwise, or the same."""
        refused = tuple(self.refused)
        if sample is None:
            return Decision(None, malformed=self._received.malformed, refused=refused, joins=context._replace(flags=0))
        answer = sample(context.trace_id)
        later, (yes, tags) = (answer, _FOR_NOW) if isinstance(answer, Later) else (None, answer)
        if context.tracestate:
            tags = {**tags, TRACESTATE_TAG: context.tracestate}
        context = context._replace(flags=SAMPLED if yes else 0)
        return Decision(context, False, tags if yes else _NO_TAGS, False, self._received.malformed, later, refused)


def _begun(flags: int, key: str | None, trace_id: int | None = None) -> TraceContext:
    """The context of a trace that begins here.

    If it is not sampled, it has the id of a span that nobody records. Some formats need a span id to pass the "no" on.
    """
    span_id = 0 if flags & SAMPLED else ids.new_span_id()
    return TraceContext.from_ids(trace_id or ids.new_trace_id(), span_id, flags=flags, hmac_key=key)


def _unsampled(context: TraceContext) -> TraceContext:
    """*context* under a span that nobody records: see :func:`_begun`."""
    unsampled = TraceContext.from_ids(context.trace_id, ids.new_span_id(), flags=0, hmac_key=context.hmac_key)
    return unsampled._replace(base_id=context.base_id, baggage=context.baggage)
