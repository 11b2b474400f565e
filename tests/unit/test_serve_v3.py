# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve``: version 3 of Jaeger's query API."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from osprofiler.drivers import base
from osprofiler.records import ids
from osprofiler.records.record import timestamp
from osprofiler.serve import jaeger_api_v3
from osprofiler.serve.application import Application
from osprofiler.testing.records import T0_US, TRACE, record
from tests.unit.serve_kit import served, serving, trace, url
from tests.unit.wsgi_asking import Response, ask

__all__ = ["served", "url"]

_WINDOW = {"query.startTimeMin": "2000-01-01T00:00:00.000Z", "query.startTimeMax": "2100-01-01T00:00:00.000Z"}


def search(served: Application, **conditions: Any) -> Response:
    named = {f"query.{name}": value for name, value in conditions.items()}
    return ask(served, f"/api/v3/trace-summaries?{urlencode({**_WINDOW, **named})}")


def found(served: Application, **conditions: Any) -> list[str]:
    response = search(served, **conditions)
    assert response.status == 200, response.text
    return [each["traceId"] for each in response.json["summaries"]]


def test_a_summary_has_the_fields_of_jaegers(url: str) -> None:
    """64-bit numbers are texts. A number that is 0 is left out."""
    other = [{**each, "service": "db"} for each in trace()[2:4]]  # of the span "build"
    lost = record(9, "start", 300, parent=8)
    base.get_driver(url).write([*trace()[:2], *other, *trace()[4:], {**lost, "service": "db"}])
    (summary,) = search(serving(url)).json["summaries"]
    assert summary == {
        "traceId": TRACE.replace("-", ""),
        "rootServiceName": "svc",
        "rootOperationName": "boot",
        "minStartTimeUnixNano": str(T0_US * 1000),
        "maxEndTimeUnixNano": str((T0_US + 1_000) * 1000),
        "spanCount": 4,
        "errorSpanCount": 1,
        "orphanSpanCount": 1,
        "services": [{"name": "db", "spanCount": 2}, {"name": "svc", "spanCount": 2, "errorSpanCount": 1}],
    }


def test_empty_lists_are_there(url: str) -> None:
    """The UI refuses a response without them."""
    base.get_driver(url).write(trace())
    served = serving(url)
    assert search(served, serviceName="nobody").json == {"summaries": []}
    assert ask(served, "/api/v3/operations?service=nobody").json == {"operations": []}


def test_an_operation_has_a_name_and_a_kind(url: str) -> None:
    """The UI refuses a response with one that has not."""
    made = trace()
    made[0]["info"]["osprofiler"]["operation"] = ""
    base.get_driver(url).write([{**each, "name": each["name"].replace("neutron-api", "")} for each in made])
    operations = ask(serving(url), "/api/v3/operations?service=svc").json["operations"]
    assert {(each["name"] != "", each["spanKind"]) for each in operations} == {(True, "internal"), (False, "internal")}


def test_without_a_service_all_are_searched(url: str, served: Application) -> None:
    other = ids.uuid_text(5)
    base.get_driver(url).write(trace(other, "other"))
    assert sorted(found(served)) == sorted(each.replace("-", "") for each in (TRACE, other))
    assert found(served, serviceName="other") == [other.replace("-", "")]
    assert found(served, operationName="check", attributes='{"error": "true"}', searchDepth=1) != []


@pytest.mark.parametrize(
    ("start", "count"),
    [
        (timestamp(T0_US), 1),
        (f"{timestamp(T0_US)}000", 1),
        (f"{timestamp(T0_US + 200)}000", 1),  # the last span begins then
        (f"{timestamp(T0_US + 200)}001", 0),
    ],
)
def test_times_are_exact_to_the_nanosecond(start: str, count: int, served: Application) -> None:
    assert len(found(served, startTimeMin=f"{start}Z")) == count


def test_a_time_may_have_a_zone(served: Application) -> None:
    assert found(served, startTimeMin=f"{timestamp(T0_US + 3_600_000_000)}+01:00") != []
    assert found(served, startTimeMin=f"{timestamp(T0_US + 3_600_000_000)}-01:00") == []


def test_an_error_has_the_shape_of_jaegers(served: Application) -> None:
    response = search(served, startTimeMin="yesterday")
    assert response.status == 400
    error = response.json["error"]
    assert error.keys() == {"httpCode", "message"}
    assert error["httpCode"] == 400
    assert "'query.startTimeMin'" in error["message"]
    assert ask(served, "/api/v3/nothing").json["error"]["httpCode"] == 404


def test_a_search_ends_before_the_ui_gives_up(
    served: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jaeger_api_v3, "_MOST_S", -1.0)
    assert found(served) == []
    assert "looked through" in caplog.text
