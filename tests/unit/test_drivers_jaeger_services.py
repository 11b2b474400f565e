# SPDX-License-Identifier: Apache-2.0
"""The services of a Jaeger: what its responses may hold, and what is asked again."""

from __future__ import annotations

from typing import Any

import pytest

from osprofiler.drivers import jaeger_query
from osprofiler.drivers.jaeger import Jaeger
from osprofiler.records import unreadable

PROCESS = {
    "serviceName": "pre-nova-api",
    "tags": [
        {"key": "project", "type": "string", "value": "nova"},
        {"key": "service", "type": "string", "value": "api"},
    ],
}
SPAN = {"traceID": "1", "spanID": "1", "operationName": "op", "startTime": 1, "duration": 1, "tags": []}
SOUND = {"traceID": "1", "spans": [{**SPAN, "processID": "p1"}], "processes": {"p1": PROCESS}}


class Responses:
    """Stands in for a query service that has one service; *traces* are its responses to each search in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *traces: list[Any]) -> None:
        self.traces = list(traces)
        monkeypatch.setattr(jaeger_query.Query, "_ask", lambda _, path: self.response(path))

    def response(self, path: str) -> Any:
        data = ["pre-nova-api"] if path == "services" else self.traces.pop(0)
        return jaeger_query._Response(200, data, "")


def listed(driver: Jaeger) -> list[str]:
    with unreadable.collected():
        return driver.list_services()


@pytest.mark.parametrize(
    "trace",
    [
        None,
        {"traceID": "1", "spans": [SPAN], "processes": {}},
        {"traceID": "1", "spans": [SPAN], "processes": None},
        {"traceID": "1", "spans": None, "processes": {}},
        {"traceID": "1", "spans": [None], "processes": {}},
    ],
)
def test_a_malformed_trace_hides_no_service(trace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Responses(monkeypatch, [trace])
    assert listed(Jaeger("jaeger://h")) == ["pre-nova-api"]


def test_a_span_may_have_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    Responses(monkeypatch, [{"traceID": "1", "spans": [{**SPAN, "process": PROCESS}]}])
    assert listed(Jaeger("jaeger://h")) == ["nova-api"]


def test_a_service_without_a_span_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Responses(monkeypatch, [], [SOUND])
    driver = Jaeger("jaeger://h")
    assert [listed(driver) for _ in range(3)] == [["pre-nova-api"], ["nova-api"], ["nova-api"]]
    assert service.traces == []
