# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve`` on every store and a real Jaeger answer all requests of Jaeger's UI and of Grafana alike.

The same spans are delivered to each store and to Jaeger by the ordinary reporter. Not compared: the order of lists, and
what Jaeger adds or renames when it stores a span.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from osprofiler import profiler
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.drivers import base, connect
from osprofiler.drivers.driver import Driver
from osprofiler.records.record import timestamp
from osprofiler.serve import application
from osprofiler.serve.application import Application
from osprofiler.serve.gate import Gate
from osprofiler.serve.store import Store
from osprofiler.testing.process import clean_process
from osprofiler.testing.recorder import SpanRecorder, recorder_in_use
from osprofiler.tracer import global_tracer
from tests.conformance.test_drivers_loginsight import URL as LOGINSIGHT_URL
from tests.conformance.test_drivers_loginsight import loginsight
from tests.conftest import own
from tests.integration.serving import get
from tests.servers import Jaeger
from tests.unit.wsgi_asking import ask
from tests.waiting import wait_until

__all__ = ["loginsight"]

#: The service of each trace point of a boot, by the beginning of its name.
_SERVICES = {
    "wsgi": "api",
    "schedule": "scheduler",
    "join": "scheduler",
    "build": "compute",
    "db": "compute",
    "verify": "compute",
}


#: Tags of a process that records do not have.
_NOT_IN_RECORDS = ("host", "osprofiler.version")


@dataclass
class Written:
    """The spans of some traces, which are in each store."""

    project: str
    spans: list[Any] = field(default_factory=list)

    def service(self, name: str) -> str:
        return f"{self.project}-{_SERVICES[name.split()[0]]}"

    def report(self, url: str, **options: Any) -> None:
        """Deliver the spans to the store at *url*, those of each service by a reporter of its own."""
        for service in dict.fromkeys(_SERVICES.values()):
            reporter = connect.reporter_for(url, project=self.project, service=service, host="host-1", **options)
            for span in self.spans:
                if self.service(span.operation_name) == f"{self.project}-{service}":
                    if reporter.wants_starts:
                        reporter.report_start(span)
                    reporter.report_span(span)
            assert reporter.close()

    @property
    def trace_ids(self) -> list[str]:
        return [f"{number:032x}" for number in dict.fromkeys(span.trace_id for span in self.spans)]

    def duration_us(self, operation: str) -> int:
        """How long the first span of *operation* took."""
        return int(next(span.duration_us for span in self.spans if span.operation_name == operation))

    @property
    def from_us(self) -> int:
        return int(min(span.start_us for span in self.spans))

    @property
    def to_us(self) -> int:
        return int(max(span.start_us + span.duration_us for span in self.spans)) + 1


def boot(number: int, failed: bool) -> None:
    """A trace through three services, with all that a span may have."""
    request = {"path": f"/servers/{number}", "method": "POST" if number % 2 else "GET", "query": "", "scheme": "http"}
    with profiler.Trace("wsgi boot", info={"request": request}):
        span = global_tracer.get_tracer().active_span
        span.set_tag("openstack.request_id", f"req-{number}")
        span.set_tag("http.status_code", 404 if failed else 202)
        span.set_tag("ratio", 0.5)
        span.set_tag("cached", False)
        span.set_tag("span.kind", "server")
        span.log_kv({"event": "admitted", "queue": number})
        with profiler.Trace("schedule"), profiler.fork("hosts") as hosts, hosts.branch("verify hosts"):
            pass
        with profiler.fork("later", detached=True) as later, later.branch("verify quota"):
            pass
        with profiler.Trace("build server", info={"image": {"name": "cirros", "size": 13}}):
            with profiler.Trace("db SELECT", info={"db": {"statement": "SELECT 1", "params": {"a": 1}}}):
                pass
            if failed:
                with pytest.raises(ValueError), profiler.Trace("verify checksum"):
                    raise ValueError("the checksum is wrong")


@pytest.fixture(scope="module")
def jaeger() -> Iterator[Jaeger]:
    """A Jaeger without the traces of other tests: services and dependencies are those of all traces."""
    with own(Jaeger) as started:
        yield started


@pytest.fixture(scope="module")
def written(jaeger: Jaeger) -> Iterator[Written]:
    """Four boots; one has failed. Jaeger has them."""
    made = Written("boots")
    with clean_process():
        recorder = SpanRecorder()
        with recorder_in_use(recorder):
            for number in range(4):
                with scope.entered(Point(None, None, Origin.from_osprofiler("KEY"))):
                    boot(number, failed=number == 3)
        made.spans = recorder.finished
        made.report(jaeger.url)
        for trace_id in made.trace_ids:
            jaeger.wait_for_trace(trace_id, sum(f"{span.trace_id:032x}" == trace_id for span in made.spans))
        yield made


def of_grafana(written: Written) -> dict[str, str]:
    """The requests that Grafana's Jaeger data source makes, and no other client, by what a user does there.

    Its times of a search are microseconds, and all others are milliseconds, also where Jaeger reads microseconds. With
    its feature ``jaegerEnableGrpcEndpoint`` it asks version 3 of the API for names and traces.
    """
    api, compute = (f"{written.project}-{name}" for name in ("api", "compute"))
    begin_ms, end_ms = written.from_us // 1000, written.to_us // 1000 + 1
    times = {"end": written.to_us, "start": written.from_us}

    def search(**conditions: Any) -> str:
        return f"/api/traces?{urlencode(sorted({**times, **conditions}.items()))}"

    return {
        "Grafana: a search": search(service=api, limit=20),
        "Grafana: a search without a limit": search(service=api),
        "Grafana: all conditions": search(
            service=compute,
            operation="build server",
            tags=json.dumps({"start.image.name": "cirros", "start.image.size": "13"}, separators=(",", ":")),
            minDuration="1us",
            maxDuration="100m",
            limit=20,
        ),
        "Grafana: a search without a service": search(),
        "Grafana: a wrong duration": search(service=api, minDuration="5"),
        "Grafana: a trace": f"/api/traces/{written.trace_ids[0]}",
        "Grafana: a trace, with the time": f"/api/traces/{written.trace_ids[0]}?end={end_ms}&start={begin_ms}",
        "Grafana: a trace that is not there": f"/api/traces/{'abcd' * 8}?end={end_ms}&start={begin_ms}",
        "Grafana: dependencies": f"/api/dependencies?endTs={end_ms}&lookback={end_ms - begin_ms + 1}",
        "Grafana: names, version 3": "/api/v3/services",
        "Grafana: operations, version 3": f"/api/v3/operations?{urlencode({'service': api})}",
        "Grafana: no operations, version 3": "/api/v3/operations?service=nobody",
        "Grafana: a trace, version 3": f"/api/v3/traces/{written.trace_ids[0]}",
        "Grafana: a trace with an error, version 3": f"/api/v3/traces/{written.trace_ids[3]}",
        "Grafana: a trace, with the time, version 3": f"/api/v3/traces/{written.trace_ids[1]}"
        "?start_time=2026-01-01T00:00:00Z&end_time=2026-01-01T01:00:00.123456789Z",
        "Grafana: a trace that is not there, version 3": f"/api/v3/traces/{'abcd' * 8}",
        "Grafana: a wrong id, version 3": "/api/v3/traces/nothing",
        "Grafana: a wrong time, version 3": f"/api/v3/traces/{written.trace_ids[0]}?start_time=x",
    }


def of_version_3(written: Written) -> dict[str, str]:
    """The requests of Jaeger's UI from 2.19 on, and wrong ones, by what a user does there."""
    api, compute = (f"{written.project}-{name}" for name in ("api", "compute"))

    def iso(at_us: int) -> str:
        return f"{timestamp(at_us)[:-3]}Z"

    def search(**conditions: Any) -> str:
        window = {"startTimeMin": iso(written.from_us - 1_000), "startTimeMax": iso(written.to_us + 1_000)}
        values = {**window, "searchDepth": 20, **conditions}
        return f"/api/v3/trace-summaries?{urlencode({f'query.{name}': value for name, value in values.items()})}"

    took_us = written.duration_us("build server")
    return {
        "version 3: operations of a kind": f"/api/v3/operations?{urlencode({'service': api, 'span_kind': 'server'})}",
        "version 3: a search of all services": search(),
        "version 3: a search": search(serviceName=api),
        "version 3: a search of a service that has no spans": search(serviceName="nobody"),
        "version 3: a search for an operation": search(serviceName=compute, operationName="verify checksum"),
        "version 3: a search for a tag": search(attributes=json.dumps({"openstack.request_id": "req-2"})),
        "version 3: a search between": search(
            serviceName=compute, durationMin=f"{took_us - 1}us", durationMax=f"{took_us + 1}us"
        ),
        "version 3: a search before": search(startTimeMin="2020-01-01T00:00:00Z", startTimeMax="2020-01-02T00:00:00Z"),
        "version 3: older names": "/api/v3/trace-summaries?query.service_name=nobody&query.num_traces=5"
        "&query.start_time_min=2020-01-01T00:00:00.123456789%2B01:00&query.start_time_max=2099-01-01T00:00:00Z",
        "version 3: a search without a time": "/api/v3/trace-summaries",
        "version 3: a search without an end": search(startTimeMax=""),
        "version 3: a search with a wrong time": search(startTimeMin="yesterday"),
        "version 3: a search for no time": search(startTimeMin="2099-01-01T00:00:00Z"),
        "version 3: a search with a wrong limit": search(searchDepth="x"),
        "version 3: a search with a wrong duration": search(durationMin="5"),
        "version 3: a search with wrong tags": search(attributes="x"),
        "version 3: a search with tags that are no texts": search(attributes='{"a": 1}'),
        "version 3: a search with a wrong truth": search(rawTraces="perhaps"),
        "version 3: a search with a filter": search(filter='{"name": "x"}'),
    }


def requests(written: Written) -> dict[str, str]:
    """The requests that are compared, by what a user does."""
    return of_the_ui(written) | of_version_3(written) | of_grafana(written)


def of_the_ui(written: Written) -> dict[str, str]:
    """The requests that Jaeger's UI makes before 2.19, and wrong ones, by what a user does there."""
    api, compute = (quote(f"{written.project}-{name}") for name in ("api", "compute"))
    window = {"start": written.from_us - 1, "end": written.to_us, "lookback": "custom", "limit": 20}

    def search(service: str, **conditions: Any) -> str:
        return f"/api/traces?{urlencode({'service': service, **window, **conditions})}"

    took_us = written.duration_us("build server")
    first, second = written.trace_ids[:2]
    end_ms = written.to_us // 1000 + 1
    return {
        "the search page opens": "/api/services",
        "a service is chosen": f"/api/services/{api}/operations",
        "a service is chosen, in newer ones": f"/api/operations?service={compute}",
        "the monitor page opens": f"/api/operations?service={api}&spanKind=server",
        "a search": search(api, minDuration="", maxDuration=""),
        "a search of a service that has no spans": search("nobody"),
        "a search for an operation": search(compute, operation="verify checksum"),
        "a search for an operation of another service": search(api, operation="verify checksum"),
        "a search for a name with wildcards": search(f"{written.project}-*"),
        "a search for a tag of the span": search(api, tags=json.dumps({"openstack.request_id": "req-2"})),
        "a search for a number": search(api, tags=json.dumps({"http.status_code": "202"})),
        "a search for a float": search(api, tags=json.dumps({"ratio": "0.5"})),
        "a search for a boolean": search(api, tags=json.dumps({"cached": "false"})),
        "a search for a tag that no span has": search(api, tags=json.dumps({"http.status_code": "500"})),
        "a search for tags of two spans": search(compute, tags=json.dumps({"ratio": "0.5"})),
        "a search for a field of a log": search(api, tags=json.dumps({"queue": "1"})),
        "a search for a tag of the process": search(compute, tags=json.dumps({"service": "compute"})),
        "a search for info": search(compute, tag="start.image.name:cirros"),
        "a search for the longest": search(compute, operation="build server", minDuration=f"{took_us}us"),
        "a search for the shortest": search(compute, operation="build server", maxDuration=f"{took_us}us"),
        "a search between": search(compute, minDuration=f"{took_us - 1}us", maxDuration=f"{took_us + 1}us"),
        "a search before": search(api, start=written.from_us - 10**9, end=written.from_us - 10**6),
        "a search in a part of the time": search(api, end=written.spans[len(written.spans) // 2].start_us),
        "a trace": f"/api/traces/{first}",
        "a trace, as it is": f"/api/traces/{first}?raw=true",
        "a trace that is not there": "/api/traces/1234567890abcdef1234567890abcdef",
        "a trace of a wrong id": "/api/traces/nothing",
        "a trace of a long id": f"/api/traces/{first}0",
        "two traces are compared": f"/api/traces?{urlencode([('traceID', first), ('traceID', second)])}",
        "two traces, one is not there": f"/api/traces?{urlencode([('traceID', first), ('traceID', 'abcd' * 8)])}",
        "two traces, one has a wrong id": f"/api/traces?{urlencode([('traceID', first), ('traceID', 'x')])}",
        "the graph of services": f"/api/dependencies?endTs={end_ms}&lookback=604800000",
        "the graph of services of another time": "/api/dependencies?endTs=1700000000000&lookback=1000",
        "latencies": f"/api/metrics/latencies?service={api}&endTs={end_ms}&lookback=3600000&quantile=0.95&step=60000"
        "&spanKind=server&step=60000&groupByOperation=true",
        "calls": f"/api/metrics/calls?service={api}&endTs={end_ms}&lookback=3600000&step=60000&spanKind=client",
        "errors": f"/api/metrics/errors?service={api}&endTs={end_ms}&lookback=3600000&step=60000",
        "metrics without a service": "/api/metrics/calls",
        "latencies without a quantile": f"/api/metrics/latencies?service={api}",
        "metrics of a wrong kind": f"/api/metrics/calls?service={api}&spanKind=none",
        "the smallest step": "/api/metrics/minstep",
        "a search without a service": "/api/traces",
        "a search with a wrong limit": search(api, limit="x"),
        "a search with a wrong start": search(api, start="x"),
        "a search with a wrong end": search(api, end="1.5"),
        "a search with a wrong duration": search(api, minDuration="5"),
        "a search with another wrong duration": search(api, maxDuration="5 s"),
        "a search for nothing": search(api, minDuration="2s", maxDuration="1s"),
        "a search with wrong tags": search(api, tags="x"),
        "a search with tags that are no texts": search(api, tags='{"a": 1}'),
        "a search with a wrong tag": search(api, tag="x"),
        "a search with a wrong truth": search(api, raw="perhaps"),
        "operations of nothing": "/api/operations",
        "operations of a service that is not there": "/api/services/nobody/operations",
        "dependencies with a wrong end": "/api/dependencies?endTs=x",
        "dependencies with a wrong lookback": f"/api/dependencies?endTs={end_ms}&lookback=1h",
    }


def essence(response: Any) -> Any:
    """What must be equal in a response: lists are sorted, and what Jaeger adds is left out."""
    if "data" not in response.json:
        return response.status, _version_3(response.json)
    status, data = response.status, response.json["data"]
    errors = [{**error, "msg": bool(error["msg"])} for error in response.json["errors"] or ()]
    if not isinstance(data, list):
        return status, data or [], errors
    items = [_trace(each) if isinstance(each, dict) and "spans" in each else each for each in data]
    return status, sorted(items, key=json.dumps), errors


def _version_3(content: Mapping[str, Any]) -> Any:
    if "error" in content:
        return {**content["error"], "message": bool(content["error"]["message"])}
    if "result" in content:
        return sorted(map(_of_otlp, content["result"]["resourceSpans"]), key=json.dumps)
    ((name, items),) = content.items() or [("", [])]
    if name == "operations":
        # Jaeger 1.76 leaves out an unknown kind, which its UI refuses. 2.20 has this one.
        items = [{"spanKind": "internal", **item} for item in items]
    return sorted(items, key=json.dumps)


def _of_otlp(part: Mapping[str, Any]) -> Any:
    def attributes(items: list[dict[str, Any]]) -> dict[str, Any]:
        named = {{"pid": "process.pid"}.get(each["key"], each["key"]): each["value"] for each in items}
        return {key: named[key] for key in sorted(named) if not key.startswith("otel.") and key not in _NOT_IN_RECORDS}

    def comparable(span: dict[str, Any]) -> dict[str, Any]:
        parts = {name: span[name] for name in ("events", "links") if name in span}
        lists = {
            name: sorted(({**each, "attributes": attributes(each["attributes"])} for each in part), key=json.dumps)
            for name, part in parts.items()
        }
        return dict(sorted({**span, **lists, "attributes": attributes(span["attributes"])}.items()))

    assert part.keys() == {"resource", "scopeSpans"}
    ((scope),) = part["scopeSpans"]
    spans = sorted(map(comparable, scope["spans"]), key=json.dumps)
    return [attributes(part["resource"]["attributes"]), scope["scope"], spans]


def _trace(trace: Mapping[str, Any]) -> Any:
    def tags(items: list[dict[str, Any]]) -> dict[str, Any]:
        # Jaeger stores spans as OpenTelemetry does: it renames one tag of the process, and adds tags for the status.
        renamed = {"hostname": "host.name"}
        named = {renamed.get(each["key"], each["key"]): [each["type"], each["value"]] for each in items}
        return {key: named[key] for key in sorted(named) if not key.startswith("otel.") and key not in _NOT_IN_RECORDS}

    def process(name: str) -> Any:
        shown = trace["processes"][name]
        return [shown["serviceName"], tags(shown["tags"])]

    spans = [
        {
            **{key: span[key] for key in ("traceID", "spanID", "operationName", "startTime", "duration")},
            "references": sorted(span["references"], key=json.dumps),
            "tags": tags(span["tags"]),
            "logs": sorted(([log["timestamp"], tags(log["fields"])] for log in span["logs"]), key=json.dumps),
            "process": process(span["processID"]),
        }
        for span in trace["spans"]
    ]
    return {"traceID": trace["traceID"], "spans": sorted(spans, key=json.dumps), "warnings": trace["warnings"]}


def serving(make: Callable[[], Driver]) -> Application:
    return application.of(Store(make), Gate())


def check(written: Written, jaeger: Jaeger, make: Callable[[], Driver]) -> None:
    """Each request is answered by ``serve`` on the store of *make* as by Jaeger."""
    served = serving(make)
    different = {}
    for name, address in requests(written).items():
        ours = essence(ask(served, address))
        response = get(f"{jaeger.query_url}{address}")
        if address.startswith("/api/v3/trace-summaries") and not response.text.startswith("{"):
            continue  # Jaeger has this path since 2.19
        theirs = essence(response)
        if ours != theirs:
            texts = (json.dumps(each, indent=1).splitlines() for each in (theirs, ours))
            different[f"{name}: {address}"] = list(difflib.unified_diff(*texts, "Jaeger", "serve", lineterm=""))
    assert not different, json.dumps(different, indent=1)


#: How to open a new store, by the name of its server's fixture; and the options of its driver.
_OPEN: dict[str, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    "redis": lambda server: (server.fresh_url(), {}),
    "postgres": lambda server: (server.fresh_url(), {}),
    "ferretdb": lambda server: (server.url, {"db_name": server.fresh_name()}),
    "elasticsearch": lambda server: (server.url, {"index_name": server.fresh_name()}),
    "loginsight": lambda server: (LOGINSIGHT_URL, {}),
}


def check_store(written: Written, jaeger: Jaeger, url: str, **options: Any) -> None:
    written.report(url, **options)
    make = functools.partial(base.get_driver, url, **options)
    wait_until(lambda: len(make().list_traces()) == len(written.trace_ids), what="the traces in the store")
    check(written, jaeger, make)


def test_sqlite(written: Written, jaeger: Jaeger, tmp_path: Path) -> None:
    check_store(written, jaeger, f"sqlite:///{tmp_path}/traces.db")


def test_jaeger_itself(written: Written, jaeger: Jaeger) -> None:
    check(written, jaeger, functools.partial(base.get_driver, jaeger.url))


#: They take long to start, or to answer.
_SLOW = ("elasticsearch", "loginsight")


@pytest.mark.parametrize("store", [pytest.param(name, marks=[pytest.mark.slow] * (name in _SLOW)) for name in _OPEN])
def test_a_server(store: str, written: Written, jaeger: Jaeger, request: pytest.FixtureRequest) -> None:
    url, options = _OPEN[store](request.getfixturevalue(store))
    check_store(written, jaeger, url, **options)
