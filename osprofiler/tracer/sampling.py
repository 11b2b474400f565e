# SPDX-License-Identifier: Apache-2.0
"""Which requests are traced though nobody asked for it: jaeger-client's samplers, chosen by text or from Jaeger."""

from __future__ import annotations

import fnmatch
import functools
import json
import logging
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from jaeger_client.sampler import AdaptiveSampler, ConstSampler, ProbabilisticSampler, RateLimitingSampler, Sampler

from osprofiler._runtime import guard
from osprofiler.config import sampler_spec
from osprofiler.config.table import Settings
from osprofiler.connection.fault_text import told
from osprofiler.connection.secrets import masked
from osprofiler.context.background import Background

LOG = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
#: Jaeger's clients sample one request in a thousand until they have an answer.
_INITIAL_RATE = 0.001
_MAX_OPERATIONS = 2000
_MAX_ANSWER_BYTES = 4 << 20


def sampler_for(text: str, service_name: str) -> Sampler:
    """The sampler that *text* asks for (see :mod:`osprofiler.config.sampler_spec`). Raises ValueError, in one line."""
    spec = sampler_spec.parse(text)
    if spec.url is not None:
        return RemoteSampler(spec.url, spec.interval_s, service_name)
    if spec.kind == "probabilistic":
        return ProbabilisticSampler(spec.rate)
    if spec.kind == "ratelimiting":
        return RateLimitingSampler(spec.rate)
    return ConstSampler(spec.rate == 1)


def sampler_of(settings: Settings, service_name: str) -> Sampler:
    """The sampler that *settings* ask for; of what is none, a line in the log, and nothing is sampled by it."""
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
    """A sampler for each pattern of operations, the first that fits, and *others* for those that none fits."""

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
        fitting = (sampler for pattern, sampler in self._samplers if fnmatch.fnmatchcase(operation, pattern))
        return next(fitting, self._others)


class RemoteSampler(Sampler):
    """Follows the strategies that a Jaeger collector or agent serves for a service.

    There is no standing thread: a decision that finds the strategies old has them fetched in the background, and is
    itself made by the ones at hand. So a forked worker needs no care, and an idle process does nothing.
    """

    def __init__(self, url: str, interval_s: float, service_name: str) -> None:
        super().__init__()
        # Here and not in a thread: a process forked while a thread imports waits for ever for the lock of that import.
        from osprofiler._runtime import http_session  # noqa: F401

        parts = urllib.parse.urlsplit(url)
        query = {**dict(urllib.parse.parse_qsl(parts.query)), "service": service_name}
        self._interval_s = interval_s
        self._url = urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
        self._sampler: Sampler = ProbabilisticSampler(_INITIAL_RATE)
        self._answer: dict[str, Any] = {}
        self._due = 0.0
        self._poll = Background(self._ask, "osprofiler-sampling", "sampling")

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._interval_s
            self._poll.begin()
        sampled, tags = self._sampler.is_sampled(trace_id, operation)
        return sampled, tags

    def close(self) -> None:
        self._due = float("inf")

    def _ask(self) -> None:
        from osprofiler._runtime import http_session

        try:
            with http_session.session(_MAX_ANSWER_BYTES) as session:
                answer = session.get(self._url, timeout=(_TIMEOUT_S, _TIMEOUT_S))
            answer.raise_for_status()
        except OSError as fault:  # requests' own faults are of this kind
            guard.count("fault.sampling_unreachable")
            guard.warn_once(
                f"sampling:{self._url}",
                "no sampling strategies from %s: %s",
                masked(self._url),
                told(fault, self._url),
            )
        else:
            self._follow(json.loads(answer.content))

    def _follow(self, answer: dict[str, Any]) -> None:
        if answer == self._answer:
            return  # a new sampler starts with a full bucket
        per_operation = answer.get("operationSampling")
        if per_operation:
            # Not jaeger-client's update(): it leaves operations seen before at the old default rate.
            self._sampler = AdaptiveSampler(per_operation, _MAX_OPERATIONS)
        elif answer.get("rateLimitingSampling"):
            self._sampler = RateLimitingSampler(float(answer["rateLimitingSampling"]["maxTracesPerSecond"]))
        elif answer.get("probabilisticSampling") is not None:
            self._sampler = ProbabilisticSampler(float(answer["probabilisticSampling"].get("samplingRate", 0)))
        self._answer = answer
