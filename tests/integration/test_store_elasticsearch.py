# SPDX-License-Identifier: Apache-2.0
"""Elasticsearch and OpenSearch: indexes of other versions, many pages, bad documents, and faults of servers."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from osprofiler._runtime import guard
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers import elasticsearch_search, search
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.drivers.errors import RecordsRefused, StoreError, StoreUnavailable
from osprofiler.drivers.exporter import StoreExporter
from osprofiler.testing.records import T0_US, TRACE, record, span, two_spans
from tests import servers


@pytest.fixture(params=["elasticsearch", "opensearch"])
def server(request: pytest.FixtureRequest) -> servers.Elasticsearch:
    server: servers.Elasticsearch = request.getfixturevalue(request.param)
    return server


class Pages:
    """The options of a configuration: pages of seven."""

    class profiler:
        es_scroll_size = 7
        es_scroll_time = "1m"
        es_doc_type = "notification"
        filter_error_trace = False


def test_an_index_with_a_field_for_each_key_takes_what_does_not_fit(server: servers.Elasticsearch) -> None:
    """4.4.0 leaves the mapping to the server, so its second trace needs info of the same types."""
    name = server.fresh_name()
    address = f"http://127.0.0.1:{server.port}/{name}"
    first = record(1, "start", 0, "stock", db={"params": {"id": 1}})
    requests.post(f"{address}/_doc?refresh=true", json=first, timeout=30).raise_for_status()
    driver = ElasticsearchDriver(server.url, index_name=name)
    misfit = record(1, "stop", 1, "stock", db={"params": "none"}, etype="E", osprofiler={"tags": {"a": 1, "a.b": 2}})
    driver.write([misfit, record(2, "start", 2, "other")])
    infos = {each["name"]: each["info"] for each in driver.read("stock")}
    assert infos == {"neutron-api-start": first["info"], "neutron-api-stop": misfit["info"]}
    assert {trace["base_id"] for trace in driver.list_traces()} == {"stock", "other"}
    assert [trace["base_id"] for trace in driver.list_error_traces()] == ["stock"]
    assert driver.delete("stock") == 2


_YEAR_US = 31_536_000_000_000


@pytest.mark.parametrize("is_stock", [False, True], ids=["ours", "stock"])
def test_a_search_finds_each_trace_by_windows_of_time(
    server: servers.Elasticsearch, is_stock: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows are empty for years, and hold more traces than a page in one millisecond. In both kinds of index."""
    monkeypatch.setattr(elasticsearch_search, "_MOST_KEYS", 3)
    monkeypatch.setattr(elasticsearch_search, "_PAGE_TRACES", 2)
    driver = ElasticsearchDriver(server.url, project="nova", service="api", index_name=server.fresh_name())
    times_us = [*range(8), *(1_000_000 * number for number in range(8)), -_YEAR_US, 3 * _YEAR_US]
    records = [each for number, at_us in enumerate(times_us) for each in _trace(number, at_us)]
    if is_stock:
        address = f"http://127.0.0.1:{server.port}/{driver.index_name}/_doc"
        for each in records:
            requests.post(address, json=driver.labelled(each), timeout=30).raise_for_status()
    else:
        driver.write(records)
    newest_first = sorted(range(len(times_us)), key=lambda number: times_us[number], reverse=True)

    def found(**conditions: Any) -> list[str]:
        return [mark["base_id"] for mark in search.identified(driver, search.Wanted(**conditions))]

    def expected(*numbers: int) -> set[str]:
        return {f"trace-{number}" for number in numbers}

    assert set(found()) == expected(*newest_first)
    assert found(limit=4)[:2] == [f"trace-{number}" for number in newest_first[:2]]
    assert set(found(since_us=T0_US + 5_000_000)) == expected(13, 14, 15, 17)
    assert set(found(until_us=T0_US + 3)) == expected(0, 1, 2, 8, 16)
    # The record of the error, and that of another service, come after the end of the search.
    assert set(found(error=True, until_us=T0_US + 3)) == expected(0, 8, 16)
    assert set(found(service="nova-compute", until_us=T0_US + 3)) == expected(1)
    assert found(service="nova-nova-compute") == []


def _trace(number: int, at_us: int) -> list[dict[str, Any]]:
    """Two records. The second has an error in each fourth trace, and another service in those of an odd number."""
    first, last = span(1, at_us, f"trace-{number}")
    if number % 4 == 0:
        last["info"] = {"etype": "ValueError", "message": "no"}
    return [first, {**last, "service": "nova-compute"} if number % 2 else last]


def test_an_alias_of_several_indexes_is_one_store(server: servers.Elasticsearch) -> None:
    """As index lifecycle management makes them."""
    name = server.fresh_name()
    address = f"http://127.0.0.1:{server.port}"
    first = {"aliases": {name: {"is_write_index": True}}}
    requests.put(f"{address}/{name}-000001", json=first, timeout=30).raise_for_status()
    driver = ElasticsearchDriver(server.url, index_name=name)
    driver.write(two_spans())
    requests.post(f"{address}/{name}/_rollover", timeout=30).raise_for_status()
    driver.write(span(7, 5_000_000, "newer"))
    assert [mark["base_id"] for mark in search.identified(driver, search.Wanted())] == ["newer", TRACE]
    assert {base_id: len(records) for base_id, records in driver.read_many(["newer", TRACE])} == {"newer": 2, TRACE: 4}
    assert driver.delete(TRACE) == 4
    assert (driver.read(TRACE), len(driver.read("newer"))) == ([], 2)


def test_ids_of_the_same_words_are_told_apart_in_such_an_index(server: servers.Elasticsearch) -> None:
    name = server.fresh_name()
    address = f"http://127.0.0.1:{server.port}/{name}/_doc?refresh=true"
    # An analysed text field finds both ids for each of them.
    for base_id in "1111-2222", "2222-1111":
        requests.post(address, json=record(1, "start", 0, base_id), timeout=30).raise_for_status()
    driver = ElasticsearchDriver(server.url, index_name=name)
    assert [each["base_id"] for each in driver.read("1111-2222")] == ["1111-2222"]
    assert driver.delete("2222-1111") == 1
    assert len(driver.read("1111-2222")) == 1


def test_every_page_is_read_and_the_state_is_given_back(server: servers.Elasticsearch) -> None:
    driver = ElasticsearchDriver(server.url, index_name=server.fresh_name(), conf=Pages)  # type: ignore[arg-type]
    driver.write([record(i, "start", i) for i in range(1, 51)])
    assert len({each["trace_id"] for each in driver.read(TRACE)}) == 50
    nodes = server.get("_nodes/stats/indices/search")["nodes"].values()
    assert sum(node["indices"]["search"]["open_contexts"] for node in nodes) == 0


def test_more_traces_than_one_request_lists(server: servers.Elasticsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osprofiler.drivers.elasticsearch_driver._TRACES", 3)
    driver = ElasticsearchDriver(server.url, index_name=server.fresh_name())
    driver.write([record(i, "start", i, f"trace {i}") for i in range(10)])
    assert [trace["base_id"] for trace in driver.list_traces()] == [f"trace {i}" for i in range(10)]


def test_an_index_that_was_removed_is_made_again(server: servers.Elasticsearch) -> None:
    """Index lifecycle management removes indexes. The server would make one with a field for each key of info."""
    name = server.fresh_name()
    driver = ElasticsearchDriver(server.url, index_name=name)
    driver.write(two_spans())
    there = server.get(f"{name}/_mapping")
    requests.delete(f"http://127.0.0.1:{server.port}/{name}", timeout=30).raise_for_status()
    driver.write(two_spans())
    assert server.get(f"{name}/_mapping") == there


def test_a_purge_asks_for_many_traces_at_once(server: servers.Elasticsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ElasticsearchDriver(server.url, index_name=server.fresh_name(), conf=Pages)  # type: ignore[arg-type]
    driver.index_name_error = server.fresh_name()
    ids = [f"trace-{number}" for number in range(60)]
    driver.write([record(1, "start", 0, base_id) for base_id in ids])
    driver.notify_error_trace(record(1, "stop", 0, ids[0]))
    driver.write([record(1, "start", 1_000_000, "younger")])
    asked = []
    ask = driver._http._ask
    monkeypatch.setattr(driver._http, "_ask", lambda *args, **options: asked.append(args[1]) or ask(*args, **options))
    assert driver.purge(T0_US + 1_000) == 60
    assert sum("_bulk" in path for path in asked) == 2  # one for records, one for marks
    assert [trace["base_id"] for trace in driver.list_traces()] == ["younger"]
    assert driver.list_error_traces() == []


def test_one_bad_record_keeps_no_other_from_being_stored(server: servers.Elasticsearch) -> None:
    driver = ElasticsearchDriver(server.url, index_name=server.fresh_name())
    bad = {**record(2, "start", 1), "timestamp": "yesterday"}
    with pytest.raises(RecordsRefused):
        driver.write([*two_spans(), bad])
    assert len(driver.read(TRACE)) == 4


def test_delivery_drops_a_refused_record_and_sends_no_other_again(
    server: servers.Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.counters.clear()
    driver = ElasticsearchDriver(server.url, index_name=server.fresh_name())
    paths: list[str] = []
    ask = driver._http._ask
    monkeypatch.setattr(driver._http, "_ask", lambda *args, **options: paths.append(args[1]) or ask(*args, **options))
    reporter = QueueReporter(StoreExporter(lambda: driver, "the store"), interval_s=3600)
    for each in *two_spans(), {**record(2, "start", 1), "timestamp": "yesterday"}:
        reporter.report_record(each)
    assert not reporter.flush(60), "one was lost"
    assert {name: guard.counters[name] for name in ("delivered", "dropped.rejected")} == {
        "delivered": 4,
        "dropped.rejected": 1,
    }
    assert sum("_bulk" in path for path in paths) == 2, "the batch, and the refused record in another form"
    reporter.close()
    assert len(driver.read(TRACE)) == 4


@contextmanager
def answering(status: int, body: Any, to_head: int | None = None) -> Iterator[str]:
    """A server with the same response to all requests, but *to_head* to a HEAD. Yields its connection string."""
    content = json.dumps(body).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(to_head if to_head and self.command == "HEAD" else status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"elasticsearch://osp:my-secret@127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_without_time_is_asked_again_later() -> None:
    busy = {"errors": True, "items": [{"index": {"status": 429}}] * 4}
    with answering(200, busy) as url, pytest.raises(StoreUnavailable):
        ElasticsearchDriver(url).write(two_spans())
    with answering(503, {}) as url, pytest.raises(StoreUnavailable):
        ElasticsearchDriver(url).write(two_spans())


def test_who_may_write_need_not_be_allowed_to_look() -> None:
    """An account that has only the privilege "index". It is enough for 4.4.0."""
    with answering(200, {"errors": False}, to_head=403) as url:
        ElasticsearchDriver(url).write(two_spans())


def test_a_refused_account_is_one_line_without_the_password() -> None:
    with answering(401, {"error": {"reason": "unable to authenticate\nuser"}}) as url:
        with pytest.raises(StoreError, match="401") as caught:
            ElasticsearchDriver(url).read("x")
        assert "my-secret" not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["elasticsearch://", "elasticsearch://osp:my-secret@h:port", "http://h", "opensearch://h?verify=perhaps"]
)
def test_a_malformed_string_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        ElasticsearchDriver(url)
    assert "my-secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
