# SPDX-License-Identifier: Apache-2.0
"""Which requests are traced though nobody asked for it: jaeger-client's samplers, chosen by text or from Jaeger."""

from __future__ import annotations

import fnmatch
import functools
import json
import logging
import math
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from jaeger_client.sampler import AdaptiveSampler, ConstSampler, ProbabilisticSampler, RateLimitingSampler, Sampler

from osprofiler import _guard
from osprofiler._background import Background
from osprofiler._fault_text import told
from osprofiler._secrets import masked
from osprofiler._settings import Settings

LOG = logging.getLogger(__name__)

#: Jaeger's clients ask once a minute, and sample one request in a thousand until they have an answer.
POLL_INTERVAL_S = 60.0
_TIMEOUT_S = 5.0
_INITIAL_RATE = 0.001
_MAX_OPERATIONS = 2000
_MAX_ANSWER_BYTES = 4 << 20


def sampler_for(text: str, service_name: str) -> Sampler:
    """The sampler that ``[profiler] sampler`` names.

    ``""`` none; ``const:1``; ``probabilistic:0.01`` (a share of requests); ``ratelimiting:2`` (requests a second);
    ``remote:http://host:5778/sampling`` (Jaeger decides, and is asked again once a minute, or every so many seconds
    with ``?interval=``). Raises ValueError, in one line, for anything else.
    """
    kind, _, parameter = text.strip().partition(":")
    try:
        if not kind:
            return ConstSampler(False)
        if kind == "const" and parameter in ("0", "1"):
            return ConstSampler(parameter == "1")
        if kind == "probabilistic":
            return ProbabilisticSampler(float(parameter))
        if kind == "ratelimiting" and 0 <= float(parameter) < math.inf:
            return RateLimitingSampler(float(parameter))
        if kind == "remote" and urllib.parse.urlsplit(parameter).scheme in ("http", "https"):
            return RemoteSampler(parameter, service_name)
    except (ValueError, AssertionError):
        pass  # said below, with what would be right
    raise ValueError(
        f"{_shown(text)!r} is no sampler: use const:0, const:1, probabilistic:RATE, ratelimiting:PER_SECOND "
        "or remote:http://HOST:PORT/sampling"
    )


def _shown(text: str) -> str:
    kind, colon, parameter = text.partition(":")
    return f"{kind}{colon}{masked(parameter)}" if kind.strip() == "remote" else text


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


def check(text: str) -> None:
    """Raises ValueError, in one line, where *text* names no sampler."""
    sampler_for(text, "").close()


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

    def __init__(self, url: str, service_name: str) -> None:
        super().__init__()
        # Here and not in a thread: a process forked while a thread imports waits for ever for the lock of that import.
        from osprofiler import _http  # noqa: F401

        parts = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self._interval_s = float(query.pop("interval", POLL_INTERVAL_S))
        if not (parts.hostname and 0 <= self._interval_s < math.inf):
            raise ValueError("a host, and an interval in seconds")
        query["service"] = service_name
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
        from osprofiler import _http

        try:
            with _http.session(_MAX_ANSWER_BYTES) as session:
                answer = session.get(self._url, timeout=(_TIMEOUT_S, _TIMEOUT_S))
            answer.raise_for_status()
        except OSError as fault:  # requests' own faults are of this kind
            _guard.count("fault.sampling_unreachable")
            _guard.warn_once(
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
