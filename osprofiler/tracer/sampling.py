# SPDX-License-Identifier: Apache-2.0
"""Samplers decide which requests are traced unasked: jaeger-client's, chosen by a text or by Jaeger."""

from __future__ import annotations

import fnmatch
import functools
import json
import logging
import math
import random
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from jaeger_client.sampler import ConstSampler, ProbabilisticSampler, Sampler

from osprofiler._runtime import guard
from osprofiler.config import sampler_spec
from osprofiler.config.table import Settings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.context.background import Background
from osprofiler.tracer import rate_limits

LOG = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
#: Jaeger's clients sample one request in a thousand until they have an answer.
_INITIAL_RATE = 0.001
_MAX_OPERATIONS = 2000
_MAX_RESPONSE_BYTES = 4 << 20
#: While the server does not answer, each wait is twice the one before, in seconds: from the interval, but at least the
#: first of these, up to the second, or the interval if that is longer.
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 600.0


def sampler_for(text: str, service_name: str) -> Sampler:
    """The sampler for *text* (see :mod:`osprofiler.config.sampler_spec`). Raises ValueError, one line."""
    spec = sampler_spec.parse(text)
    if spec.url is not None:
        return RemoteSampler(spec.url, spec.interval_s, service_name)
    if spec.kind == "probabilistic":
        return ProbabilisticSampler(spec.rate)
    if spec.kind == "ratelimiting":
        return rate_limits.PerSecond(spec.rate)
    return ConstSampler(spec.rate == 1)


def sampler_of(settings: Settings, service_name: str) -> Sampler:
    """The sampler for *settings*. A text that is not valid is logged, and samples nothing."""
    others = _sampler_or_none(settings.sampler, service_name, "[profiler] sampler")
    if not settings.operations:
        return others
    return ByOperation(
        [(pattern, _sampler_or_none(spec, service_name, pattern)) for pattern, spec in settings.operations], others
    )


def _sampler_or_none(text: str, service_name: str, where: str) -> Sampler:
    try:
        return sampler_for(text, service_name)
    except ValueError as fault:
        LOG.error("%s: %s; nothing is sampled", where, fault)
        return ConstSampler(False)


class ByOperation(Sampler):
    """Uses the sampler of the first pattern that matches the operation, or *others* if no pattern matches."""

    def __init__(self, samplers: Sequence[tuple[str, Sampler]], others: Sampler) -> None:
        super().__init__()
        self._samplers = tuple(samplers)
        self._others = others
        self._sampler_of = functools.lru_cache(_MAX_OPERATIONS)(self._find)

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        sampled, tags = self._sampler_of(operation).is_sampled(trace_id, operation)
        return sampled, tags

    def close(self) -> None:
        for _, sampler in self._samplers:
            sampler.close()
        self._others.close()

    def _find(self, operation: str) -> Sampler:
        matching = (sampler for pattern, sampler in self._samplers if fnmatch.fnmatchcase(operation, pattern))
        return next(matching, self._others)


class RemoteSampler(Sampler):
    """Samples by the strategies that a Jaeger collector or agent serves for a service.

    A decision with old strategies starts to fetch new ones in the background. Until these arrive, the old ones apply.
    There is no permanent thread, so a forked worker is a normal case, and an idle process does nothing. While the
    server does not answer, it is asked less and less often, and the processes of a cloud do not ask it all at once.
    """

    def __init__(self, url: str, interval_s: float, service_name: str) -> None:
        super().__init__()
        # Here and not in a thread: after a fork during the import the child would wait for the import lock for ever.
        from osprofiler._runtime import http_session  # noqa: F401

        parts = urllib.parse.urlsplit(url)
        query = {**dict(urllib.parse.parse_qsl(parts.query)), "service": service_name}
        self._interval_s = interval_s
        self._url = urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
        self._sampler: Sampler = ProbabilisticSampler(_INITIAL_RATE)
        self._answer: dict[str, Any] = {}
        self._due = 0.0
        self._failures = 0  # in a row
        self._poll = Background(self._ask, "osprofiler-sampling", "sampling")

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._interval_s
            self._poll.begin()
        sampled, tags = self._sampler.is_sampled(trace_id, operation)
        return sampled, tags

    def close(self) -> None:
        self._due = math.inf

    def _ask(self) -> None:
        from osprofiler._runtime import http_session

        try:
            with http_session.session(_MAX_RESPONSE_BYTES) as session:
                answer = session.get(self._url, timeout=(_TIMEOUT_S, _TIMEOUT_S))
            answer.raise_for_status()
            self._follow(json.loads(answer.content))
            self._failures = 0
        except OSError as fault:  # the errors of requests are OSErrors too
            self._wait_longer()
            guard.count("fault.sampling_unreachable")
            guard.warn_once(
                f"sampling:{self._url}",
                "no sampling strategies from %s: %s",
                masked(self._url),
                fault_line(fault, self._url),
            )
        except Exception:  # not an answer of Jaeger
            self._wait_longer()
            raise

    def _wait_longer(self) -> None:
        self._failures += 1
        shortest_s = max(self._interval_s, _FIRST_RETRY_S)
        wait_s = min(shortest_s * 2.0 ** min(self._failures, 32), max(_LAST_RETRY_S, shortest_s))
        if self._due != math.inf:  # it is not closed
            # Half of the wait is random: all processes have lost the server at the same moment.
            self._due = time.monotonic() + wait_s * random.uniform(0.5, 1.0)

    def _follow(self, answer: dict[str, Any]) -> None:
        if answer == self._answer:
            return  # keep the sampler: a new one starts with a full bucket
        per_operation = answer.get("operationSampling")
        if per_operation:
            # Not jaeger-client's update(): it leaves operations seen before at the old default rate.
            self._sampler = rate_limits.ByOperation(per_operation, _MAX_OPERATIONS)
        elif answer.get("rateLimitingSampling"):
            self._sampler = rate_limits.PerSecond(float(answer["rateLimitingSampling"]["maxTracesPerSecond"]))
        elif answer.get("probabilisticSampling") is not None:
            self._sampler = ProbabilisticSampler(float(answer["probabilisticSampling"].get("samplingRate", 0)))
        self._answer = answer
