# SPDX-License-Identifier: Apache-2.0
"""The tracer of this process, made when tracing is first used.

Importing this module does not load jaeger-client and its libraries (tornado, thrift).
"""

from __future__ import annotations

import _thread
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import opentracing

from osprofiler._runtime import ending, finalizers, forks

if TYPE_CHECKING:
    from osprofiler.config.rule_index import Asked
    from osprofiler.context.undecided import Later, Verdict
    from osprofiler.delivery.base import Reporter
    from osprofiler.propagation.precedence import Sample, SampleAsked
    from osprofiler.tracer.tracer import Tracer

_tracer: Tracer | None = None
# Re-entrant, since a finalizer or a signal handler may use tracing first, while the lock is held. Native even if
# eventlet has patched threading, since a native thread that waits for a green lock is never woken.
_lock = _thread.RLock()
_service_name = "osprofiler"
_make_reporter: Callable[[], Reporter] | None = None


def get_tracer() -> Tracer:
    """The tracer of this process. The first call makes it.

    It also becomes ``opentracing.global_tracer()``, unless the application has registered another tracer there.
    """
    return _tracer or _make()


@forks.in_child
def _lock_anew() -> None:
    global _lock
    _lock = _thread.RLock()  # the parent may have held the old one


def _make() -> Tracer:
    global _tracer
    from osprofiler.tracer.tracer import Tracer

    with ending.holding(_lock):
        if _tracer is None:
            finalizers.make_safe()
            tracer = Tracer(_service_name, _make_reporter() if _make_reporter else None)
        if _tracer is None:  # the lock is re-entrant, so this flow may have made one meanwhile
            if not opentracing.is_global_tracer_registered():
                opentracing.set_global_tracer(tracer)
            _tracer = tracer
    return _tracer


def sample_for(operation: str, asked: Asked | None = None) -> Sample:
    """A function that asks the tracer's sampler whether to record a trace that begins with *operation*.

    *asked*: what the policy's rules ask about the request.
    """

    def sample(trace_id: int) -> Verdict | Later:
        sampler = get_tracer().sampler
        by_rule = getattr(sampler, "decide", None)  # its class is not loaded before tracing is used
        if by_rule is None:
            verdict: Verdict = sampler.is_sampled(trace_id, operation)
            return verdict
        answer: Verdict | Later = by_rule(trace_id, operation, asked)
        return answer

    return sample


def sample_asked_for(operation: str, asked: Asked) -> SampleAsked | None:
    """A function that asks the policy's rules about a request that asks for a trace; None if there are no rules."""
    by_rule = getattr(get_tracer().sampler, "decide_asked", None)
    if by_rule is None:
        return None

    def sample(trace_id: int, keys: Sequence[str]) -> Verdict | Later:
        answer: Verdict | Later = by_rule(trace_id, operation, asked, keys)
        return answer

    return sample


def existing_tracer() -> Tracer | None:
    """The tracer of this process, or None if tracing was not used yet."""
    return _tracer


def report_to(make_reporter: Callable[[], Reporter], service_name: str | None = None) -> None:
    """Make the tracer, now or later, send its spans to the reporter that *make_reporter* returns."""
    global _make_reporter, _service_name
    _make_reporter = make_reporter
    if service_name is not None:
        _service_name = service_name
    if _tracer is not None:
        _tracer.report_to(make_reporter(), service_name)


def flush(timeout: float | None = None) -> bool:
    """Wait until every span that ended before this call has left the process.

    Waits *timeout* seconds at most; None: ``[profiler] flush_timeout``. Returns whether all these spans have left.
    """
    return _tracer is None or _tracer.flush(timeout)
