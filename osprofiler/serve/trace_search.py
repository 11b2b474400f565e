# SPDX-License-Identifier: Apache-2.0
"""The search of Jaeger's query API: its parameters, and whether a trace matches.

One span of the trace must match all conditions. The names are exact. A tag may be one of the span, of its process, or
a field of one of its logs. Sources: Jaeger 1.76, ``cmd/query/app/query_parser.go`` (the parameters) and
``internal/storage/v2/memory/tenant.go`` (the conditions); Jaeger 2.20, ``apiv3/query_parser.go`` (the parameters of
version 3).
"""

from __future__ import annotations

import glob
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from osprofiler.drivers.search import Wanted
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import jaeger_json
from osprofiler.serve import catalogue
from osprofiler.serve.parameters import Parameters
from osprofiler.serve.responses import Refused

_CAPITAL = re.compile("[A-Z]")
_DEFAULT_LIMIT = 100
#: The most traces of one response, as Jaeger's UI permits.
MOST_TRACES = 1_500
_DEFAULT_LOOKBACK_US = 2 * 86_400_000_000

#: Stores find a trace by its beginning, and Jaeger by each of its spans. So a trace may begin so much before ``start``.
_BEFORE_US = 600_000_000


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """The conditions of one search; durations in nanoseconds, 0: none."""

    service: str  # "": any
    operation: str
    start_us: int
    end_us: int
    least_ns: int
    most_ns: int
    tags: tuple[tuple[str, str], ...]
    limit: int

    @classmethod
    def of(cls, parameters: Parameters) -> TraceSearch:
        """The search that *parameters* describe. Raises Refused."""
        now_us = time.time_ns() // 1000
        search = cls(
            parameters.text("service"),
            parameters.text("operation"),
            parameters.integer("start", now_us - _DEFAULT_LOOKBACK_US),
            parameters.integer("end", now_us),
            parameters.duration_ns("minDuration"),
            parameters.duration_ns("maxDuration"),
            parameters.tags(),
            limit(parameters, _DEFAULT_LIMIT),
        )
        if not search.service:
            raise Refused(HTTPStatus.BAD_REQUEST, "parameter 'service' is required")
        if search.least_ns and search.most_ns and search.most_ns < search.least_ns:
            raise Refused(HTTPStatus.BAD_REQUEST, "'maxDuration' should be greater than 'minDuration'")
        return search

    @classmethod
    def of_v3(cls, parameters: Parameters) -> TraceSearch:
        """The search that *parameters* of version 3 of the API describe. Raises Refused."""

        def name(text: str) -> str:
            """The name of the parameter *text*: it may have underscores, as in older versions."""
            older = _CAPITAL.sub(r"_\g<0>", text).lower()
            return parameters.named(f"query.{text}", f"query.{older}")

        start, end = name("startTimeMin"), name("startTimeMax")
        start_ns, end_ns = parameters.time_ns(start), parameters.time_ns(end)
        if start_ns >= end_ns:
            raise Refused(HTTPStatus.BAD_REQUEST, f"'{start}' should be before '{end}'")
        parameters.boolean(name("rawTraces"))
        if parameters.text("query.filter"):
            raise Refused(HTTPStatus.BAD_REQUEST, "'query.filter' is not supported")
        return cls(
            parameters.text(name("serviceName")),
            parameters.text(name("operationName")),
            -(-start_ns // 1000),
            end_ns // 1000,
            parameters.duration_ns(name("durationMin")),
            parameters.duration_ns(name("durationMax")),
            tuple(parameters.object("query.attributes").items()),
            limit(parameters, _DEFAULT_LIMIT, parameters.named("query.num_traces", name("searchDepth"))),
        )

    @property
    def wanted(self) -> Wanted:
        """The conditions for the store. Traces that match them may not match this search, but not the reverse."""
        return Wanted(
            service=catalogue.pattern(self.service),
            operation=glob.escape(self.operation) or None,
            min_duration_us=max(self.least_ns // 1000, 0) or None,
            since_us=self.start_us - _BEFORE_US,
            until_us=self.end_us + 1,
        )

    def matches(self, trace: Trace) -> bool:
        """Whether *trace* matches."""
        writer = jaeger_json.Writer(trace)
        return any(self._is_of(span) and self._has_tags(span, writer) for span in trace.spans.values())

    def _is_of(self, span: SpanNode) -> bool:
        duration_ns = (span.duration_us or 0) * 1000
        return (
            (not self.service or jaeger_json.service_name(span) == self.service)
            and (not self.operation or span.operation == self.operation)
            and self.start_us <= span.start_us <= self.end_us
            and (not self.least_ns or duration_ns >= self.least_ns)
            and (not self.most_ns or duration_ns <= self.most_ns)
        )

    def _has_tags(self, span: SpanNode, writer: jaeger_json.Writer) -> bool:
        if not self.tags:
            return True
        places: list[Any] = [
            dict(writer.tags(span)),
            jaeger_json.process_tags(span),
            *(log.fields for log in span.logs),
        ]
        return all(
            any(key in place and jaeger_json.tag_text(place[key]) == value for place in places)
            for key, value in self.tags
        )


def limit(parameters: Parameters, default: int, name: str = "limit") -> int:
    """The most traces that a response may have."""
    number = parameters.integer(name, default)
    if not 0 < number <= MOST_TRACES:
        raise Refused(HTTPStatus.BAD_REQUEST, f"'{name}' should be from 1 to {MOST_TRACES}")
    return number
