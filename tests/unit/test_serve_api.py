# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve``: Jaeger's query API, where a comparison with Jaeger does not reach."""

from __future__ import annotations

import sqlite3
import sys
import threading
import traceback
from typing import Any
from urllib.parse import quote

import pytest

from osprofiler.drivers import base
from osprofiler.drivers.sqlalchemy_driver import SQLAlchemyDriver
from osprofiler.records import ids
from osprofiler.records.record import timestamp
from osprofiler.serve import catalogue, jaeger_api, store
from osprofiler.serve.application import Application
from osprofiler.serve.shared import Shared
from osprofiler.testing.records import T0_US, TRACE, no_records, two_spans
from tests.unit.serve_kit import ALL, found, served, serving, trace, url
from tests.unit.wsgi_asking import ask
from tests.waiting import wait_until

__all__ = ["served", "url"]


def test_traces_with_an_error_are_found(served: Application) -> None:
    """Jaeger 1.76 in memory finds none of them."""
    assert len(found(served, tags='{"error": "true"}')) == 1
    assert found(served, operation="boot", tags='{"error": "true"}') == []


def test_a_search_has_the_newest_traces(url: str, served: Application) -> None:
    newest = str(ids.uuid_text(7 << 64 | 1))
    later = [{**each, "timestamp": each["timestamp"].replace("T1", "T2")} for each in trace(newest)]
    assert later != trace(newest)
    base.get_driver(url).write(later)
    assert found(served, limit=1) == [newest.replace("-", "")]
    assert len(found(served)) == 2


def test_a_trace_that_began_a_little_before_the_search_is_found(served: Application) -> None:
    """Jaeger looks at each span, and stores at the beginning of a trace."""
    assert found(served, start=T0_US + 150) == found(served, operation="check") != []
    assert found(served, start=T0_US + 250) == []


def test_a_trace_whose_id_is_no_uuid_is_found_after_a_search(url: str) -> None:
    base.get_driver(url).write(trace("an id of a script"))
    served = serving(url)
    (trace_id,) = found(served)
    assert ask(served, f"/api/traces/{trace_id}").json["data"][0]["traceID"] == trace_id
    assert ask(served, f"/osprofiler/trace/{quote('an id of a script')}").status == 200


def test_what_could_not_be_read_is_a_warning(url: str) -> None:
    base.get_driver(url).write([*trace(), {**two_spans(TRACE)[0], "timestamp": "yesterday"}])
    (shown,) = ask(serving(url), f"/api/traces/{TRACE.replace('-', '')}").json["data"]
    assert shown["warnings"] == ["1 unreadable record"]


def test_names_of_new_traces_are_learned(url: str, served: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(served, "/api/services").json["data"] == ["svc"]
    base.get_driver(url).write(trace(ids.uuid_text(5), "newer"))
    assert ask(served, "/api/services").json["data"] == ["svc"]  # so soon it does not look again
    monkeypatch.setattr(catalogue, "_FRESH_S", 0.0)
    monkeypatch.setattr(catalogue, "_WHOLE_S", 0.0)
    assert ask(served, "/api/services").json["data"] == ["newer", "svc"]


def test_a_rare_service_is_listed_with_its_operations(
    url: str, served: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not in the newest traces: the store knows it."""
    later = [{**each, "timestamp": each["timestamp"].replace("T1", "T2")} for each in trace(ids.uuid_text(5), "often")]
    base.get_driver(url).write(later)
    monkeypatch.setattr(catalogue, "_FEW_TRACES", 1)
    assert ask(served, "/api/services").json["data"] == ["often", "svc"]
    assert ask(served, "/api/services/svc/operations").json["data"] == ["boot", "build", "check"]


def test_the_services_of_a_store_that_cannot_list_them_are_in_its_newest_traces(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.get_driver(url).write(trace())
    monkeypatch.setattr(SQLAlchemyDriver, "can", SQLAlchemyDriver.can - {base.Can.LIST_SERVICES})
    assert ask(serving(url), "/api/services").json["data"] == ["svc"]


def test_a_search_learns_names_too(url: str, served: Application) -> None:
    assert ask(served, "/api/services").json["data"] == ["svc"]
    base.get_driver(url).write(trace(ids.uuid_text(5), "newer"))
    assert len(found(served, service="newer")) == 1
    assert ask(served, "/api/services").json["data"] == ["newer", "svc"]


def test_a_span_without_a_service_is_found(url: str) -> None:
    base.get_driver(url).write(trace(service=""))
    assert ask(serving(url), "/api/services").json["data"] == ["unknown"]
    assert len(found(serving(url), service="unknown", minDuration="1us")) == 1


def test_time_is_bounded_and_the_answer_says_so(served: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if no trace matches: the store may have to be looked through for it."""
    monkeypatch.setattr(store, "MOST_S", -1.0)
    end_ms = T0_US // 1000 + 10_000
    for address in (f"/api/traces?service=svc&operation=none&{ALL}", f"/api/dependencies?endTs={end_ms}"):
        (error,) = ask(served, address).json["errors"]
        assert "looked through" in error["msg"]
    assert "looked through" in ask(served, "/osprofiler/").text
    assert "looked through" in ask(served, "/osprofiler/set").text


def test_an_answer_is_bounded_and_says_so(url: str, served: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    base.get_driver(url).write(trace(ids.uuid_text(5)))
    monkeypatch.setattr(jaeger_api, "MOST_SPANS", 2)
    response = ask(served, f"/api/traces?service=svc&{ALL}").json
    assert [len(each["spans"]) for each in response["data"]] == [3]
    assert "they have 3 spans" in response["errors"][0]["msg"]
    assert ask(served, f"/api/traces?service=svc&limit=1&{ALL}").json["errors"] is None
    response = ask(served, f"/api/traces?traceID=5&traceID={TRACE.replace('-', '')}").json
    assert len(response["data"]) == 1
    assert response["errors"][0]["traceID"] == TRACE.replace("-", "")


_ODD_VALUES = [None, [], {}, [[1]], {"a": [None]}, 2**70, -1, 1e400, "\ud800", "\0", "</script>", True]


@pytest.mark.parametrize("value", _ODD_VALUES)
def test_any_value_in_a_record_is_served(value: Any, url: str) -> None:
    """Everybody may write to a store, and not only with osprofiler."""
    made = trace(info={"request": value, "db": value})
    for each in made:
        if each["name"].endswith("-start"):
            each["info"]["osprofiler"] |= {"operation": value, "pid": value, "process": value}
        else:
            tags = {"span.kind": value, "error": value, "a": value}
            each["info"]["osprofiler"] = {"tags": tags, "logs": [[T0_US, {"event": value}]]}
    base.get_driver(url).write(made)
    served = serving(url)
    for address in (
        "/api/services",
        "/api/operations?service=svc",
        "/api/v3/trace-summaries?query.start_time_min=2000-01-01T00:00:00Z&query.start_time_max=2100-01-01T00:00:00Z",
        f"/api/traces?service=svc&tag=a:b&{ALL}",
        f"/api/traces?service=svc&{ALL}",
        f"/api/dependencies?endTs={T0_US // 1000 + 10_000}",
        f"/api/traces/{TRACE.replace('-', '')}",
        f"/api/v3/traces/{TRACE.replace('-', '')}",
        "/osprofiler/",
        "/osprofiler/set",
        f"/osprofiler/trace/{TRACE}",
    ):
        response = ask(served, address)
        assert response.status == 200, (address, response.text)
    assert len(ask(served, f"/api/traces?service=svc&{ALL}").json["data"]) == 1


def test_records_that_are_wrong_are_left_out(url: str) -> None:
    base.get_driver(url).write(trace())
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for content in no_records():
            row = (timestamp(T0_US), TRACE, content.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
            connection.execute("INSERT INTO data (timestamp, base_id, data) VALUES (?, ?, ?)", row)
    (shown,) = ask(serving(url), f"/api/traces?service=svc&{ALL}").json["data"]
    assert len(shown["spans"]) == 3
    assert "unreadable" in shown["warnings"][0]


def test_pretty_printing_changes_only_blanks(served: Application) -> None:
    plain, pretty = (ask(served, f"/api/services?prettyPrint={value}") for value in ("false", "true"))
    assert plain.json == pretty.json
    assert pretty.text.count("\n") > plain.text.count("\n")


def test_equal_work_is_done_once() -> None:
    shared: Shared[int] = Shared()
    go_on = threading.Event()
    runs: list[str] = []

    def work() -> int:
        runs.append(threading.current_thread().name)
        assert go_on.wait(60)
        return 5

    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(shared.get("key", work))) for _ in range(3)]

    def wait_in(thread: threading.Thread, *functions: str) -> bool:
        frame = sys._current_frames().get(thread.ident or 0)
        return any(entry.name in functions for entry in traceback.extract_stack(frame))

    for thread in threads:
        thread.start()
        wait_until(lambda thread=thread: wait_in(thread, "work", "result"))  # type: ignore[misc]
    assert len(runs) == 1
    assert shared.get("another", lambda: 7) == 7
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert results == [5, 5, 5]


def test_equal_work_fails_for_all_and_is_tried_again() -> None:
    shared: Shared[int] = Shared()
    with pytest.raises(ZeroDivisionError):
        shared.get("key", lambda: 1 // 0)
    assert shared.get("key", lambda: 2) == 2
