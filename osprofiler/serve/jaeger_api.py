# SPDX-License-Identifier: Apache-2.0
"""The query API of Jaeger, for its UI, Grafana's Jaeger data source, and scripts.

Responses and errors have the shapes and the status of Jaeger 1.76 (``cmd/query/app/http_handler.go``). Different are:
the texts of errors; a parameter out of its range is always a 400; the parts that only make up sample data, or change
something, are not here. ``jaeger_api_v3`` has the responses of version 3.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from osprofiler.drivers.search import Wanted
from osprofiler.reports import wording
from osprofiler.reports.analysis.service_map import ServiceMap
from osprofiler.reports.model import Trace
from osprofiler.reports.views import jaeger_json, map_views
from osprofiler.serve import jaeger_api_v3
from osprofiler.serve.parameters import Parameters, malformed, trace_number
from osprofiler.serve.responses import Refused, Response, Route, json_response
from osprofiler.serve.store import Store
from osprofiler.serve.trace_search import TraceSearch

_DAY_MS = 86_400_000
#: One response has no further traces when it has so many spans.
MOST_SPANS = 200_000
_SPAN_KINDS = frozenset(("unspecified", "internal", "server", "client", "producer", "consumer"))


class Problem(NamedTuple):
    """An entry of the ``errors`` of a response."""

    text: str
    status: int | None = None
    trace_id: str | None = None


def routes(store: Store) -> list[Route]:
    """The routes of the API on *store*."""
    ways: dict[str, Callable[..., Response]] = {
        r"/api/services": _services,
        r"/api/services/(.+)/operations": _operation_names,
        r"/api/operations": _operations,
        r"/api/traces": _traces,
        r"/api/traces/([^/]+)": _trace,
        r"/api/dependencies": _dependencies,
        r"/api/v3/services": jaeger_api_v3.services,
        r"/api/v3/operations": jaeger_api_v3.operations,
        r"/api/v3/trace-summaries": jaeger_api_v3.trace_summaries,
        r"/api/v3/traces/([^/]+)": jaeger_api_v3.trace,
    }
    return [Route(re.compile(path), partial(respond, store)) for path, respond in ways.items()] + [
        Route(re.compile(r"/api/metrics/(minstep|latencies|calls|errors)"), _metrics)
    ]


def error_text(path: str, status: int, text: str) -> str:
    """The JSON of a response at *path* that is only an error."""
    if path.startswith("/api/v3/"):
        return jaeger_api_v3.error_text(status, text)
    return _enclosed("null", 0, [Problem(text, status)])


def _enclosed(data: str, total: int = 0, problems: Sequence[Problem] = ()) -> str:
    errors = [
        {
            key: value
            for key, value in (("code", each.status), ("msg", each.text), ("traceID", each.trace_id))
            if value is not None
        }
        for each in problems
    ]
    return f'{{"data":{data},"total":{total},"limit":0,"offset":0,"errors":{json.dumps(errors or None)}}}\n'


def _response(data: str, parameters: Parameters, total: int = 0, problems: Sequence[Problem] = ()) -> Response:
    text = _enclosed(data, total, problems)
    if parameters.text("prettyPrint") not in ("", "false"):
        text = json.dumps(json.loads(text), indent=4)
    return json_response(text)


def _list(items: Sequence[Any], parameters: Parameters) -> Response:
    return _response(json.dumps(items), parameters, len(items))


def _services(store: Store, parameters: Parameters) -> Response:
    return _list(store.services(), parameters)


def _operation_names(store: Store, service: str, parameters: Parameters) -> Response:
    return _list(list(dict.fromkeys(each.name for each in store.operations(service))), parameters)


def _operations(store: Store, parameters: Parameters) -> Response:
    if not parameters.text("service"):
        raise Refused(HTTPStatus.BAD_REQUEST, "parameter 'service' is required")
    operations = store.operations(parameters.text("service"), parameters.text("spanKind"))
    return _list([{"name": each.name, "spanKind": each.kind} for each in operations], parameters)


def _traces(store: Store, parameters: Parameters) -> Response:
    """Some traces by their ids, or a search."""
    parameters.boolean("raw")  # here all traces are raw: times are not corrected
    found = _Found()
    if parameters.texts("traceID"):
        for number in [trace_number(text) for text in parameters.texts("traceID")]:
            trace = None if found.is_full else store.trace(number)
            if trace is not None:
                found.add(trace)
            else:
                why = found.why_full if found.is_full else "trace not found"
                found.problems.append(Problem(why, trace_id=f"{number:032x}"))
        return found.response(parameters)
    search = TraceSearch.of(parameters)

    def take(trace: Trace) -> bool:
        if search.matches(trace):
            found.add(trace)
        return len(found.texts) < search.limit and not found.is_full

    cut = store.each(search.wanted, take)
    if cut or (len(found.texts) < search.limit and found.is_full):
        found.problems.append(Problem(cut or found.why_full))
    return found.response(parameters)


class _Found:
    """The traces of a response, as JSON. Their spans are bounded, since all of them are in memory."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.problems: list[Problem] = []
        self._spans = 0

    def add(self, trace: Trace) -> None:
        self.texts.append(_text(trace))
        self._spans += len(trace.spans)

    @property
    def is_full(self) -> bool:
        """Whether no more traces may be added."""
        return self._spans > MOST_SPANS

    @property
    def why_full(self) -> str:
        return f"only {len(self.texts):,} of these traces: they have {self._spans:,} spans"

    def response(self, parameters: Parameters) -> Response:
        return _response(f"[{','.join(self.texts)}]", parameters, problems=self.problems)


def _trace(store: Store, trace_id: str, parameters: Parameters) -> Response:
    parameters.boolean("raw")
    parameters.integer("start", 0)
    parameters.integer("end", 0)
    trace = store.trace(trace_number(trace_id))
    if trace is None:
        raise Refused(HTTPStatus.NOT_FOUND, "trace not found")
    return _response(f"[{_text(trace)}]", parameters)


def _text(trace: Trace) -> str:
    count = trace.unreadable
    warnings = [wording.counted(count, "unreadable record")] if count else []
    return "".join(jaeger_json.item(trace, warnings))


def _dependencies(store: Store, parameters: Parameters) -> Response:
    end_us = parameters.integer("endTs", time.time_ns() // 1_000_000) * 1000
    lookback_us = parameters.integer("lookback", _DAY_MS) * 1000
    if lookback_us < 0:
        raise Refused(HTTPStatus.BAD_REQUEST, "'lookback' should not be negative")
    services = ServiceMap()

    def take(trace: Trace) -> bool:
        if trace.end_us < end_us:
            services.add(trace)
        return True

    cut = store.each(Wanted(since_us=end_us - lookback_us, until_us=end_us), take)
    service = parameters.text("service")
    links = [each for each in map_views.links(services) if service in ("", each["parent"], each["child"])]
    return _response(json.dumps(links), parameters, problems=[Problem(cut)] if cut else ())


def _metrics(figure: str, parameters: Parameters) -> Response:
    """The response of a Jaeger without a store of metrics."""
    if figure == "latencies":
        parameters.number("quantile")
    if figure != "minstep":
        if not parameters.texts("service"):
            raise Refused(
                HTTPStatus.BAD_REQUEST, "unable to parse param 'service': please provide at least one service name"
            )
        parameters.boolean("groupByOperation")
        for span_kind in parameters.texts("spanKind"):
            if span_kind not in _SPAN_KINDS:
                raise malformed("spanKind", span_kind, f"one of {', '.join(sorted(_SPAN_KINDS))}")
        for name in ("endTs", "lookback", "step", "ratePer"):
            parameters.integer(name, 0)
    raise Refused(HTTPStatus.NOT_IMPLEMENTED, "metrics querying is currently disabled")
