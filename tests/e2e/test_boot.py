# SPDX-License-Identifier: Apache-2.0
"""One request through six processes, RabbitMQ and MariaDB is one trace, whole, on every way that a trace can take."""

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from osprofiler.demo import outcome, settings
from osprofiler.demo.cloud import Cloud
from osprofiler.drivers import base
from osprofiler.reports import model
from tests.e2e import clouds, traces
from tests.servers import Jaeger, MariaDB, Rabbit

_TAGS = (
    "component",
    "db.type",
    "error",
    "http.method",
    "http.status_code",
    "message_bus.destination",
    "osprofiler.fork",
    "osprofiler.join",
    "span.kind",
)


def _one_worker(prefix: str) -> dict[str, dict[str, str]]:
    """One thread each serves HTTP: every later request runs where the traced one ran."""
    return {"demo": {"http_workers": "1"}, "profiler_jaeger": {"service_name_prefix": prefix}}


def _send_untraced(cloud: Cloud) -> None:
    """Have every worker do again, for nobody, what it has just done for a trace."""
    caller = clouds.Caller(cloud)
    caller.wait_built(*[caller.boot() for _ in range(3)])


@pytest.mark.parametrize("way", ["url", "udp_url"])
def test_one_boot_is_one_whole_trace_in_jaeger(jaeger: Jaeger, rabbit: Rabbit, mariadb: MariaDB, way: str) -> None:
    prefix = clouds.prefix()
    with clouds.running(
        getattr(jaeger, way), transport_url=rabbit.url, db_url=mariadb.fresh_url(), groups=_one_worker(prefix)
    ) as cloud:
        booted = cloud.boot()
        assert booted["status"] == "ACTIVE"
        _send_untraced(cloud)
    jaeger.wait_for_trace(booted["base_id"].replace("-", ""), sum(clouds.EXPECTED.values()))
    for service in ("client", "api", "image", "conductor", "compute-1", "compute-2"):
        (only,) = jaeger.traces(f"{prefix}-demo-{service}")  # whatever else a worker sent would be another one here
        traces.assert_same(traces.in_jaeger(only, f"{prefix}-demo-"), clouds.EXPECTED)


def _tags_in_jaeger(trace: dict[str, Any]) -> Counter[Any]:
    operations = {span["spanID"]: span["operationName"] for span in trace["spans"]}
    found: Counter[Any] = Counter()
    for span in trace["spans"]:
        above = sorted(span["references"], key=lambda ref: ref["refType"])[:1]
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        service = trace["processes"][span["processID"]]["serviceName"].rpartition("demo-")[2]
        parent = operations[above[0]["spanID"]] if above else None
        found[service, span["operationName"], parent, _mattering(tags)] += 1
    return found


def _tags_in_store(trace: model.Trace) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for span in trace.spans.values():
        above = trace.spans.get(span.parent_id)
        found[span.service, span.operation, above.operation if above else None, _mattering(span.tags)] += 1
    return found


def _mattering(tags: dict[str, Any]) -> tuple[Any, ...]:
    path = urlsplit(tags["http.url"]).path if "http.url" in tags else None
    return (path, *((key, tags[key]) for key in _TAGS if key in tags))


def test_the_embedded_store_holds_the_same_as_jaeger(
    jaeger: Jaeger, rabbit: Rabbit, mariadb: MariaDB, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    with clouds.running(
        store, transport_url=rabbit.url, db_url=mariadb.fresh_url(), groups=_one_worker(clouds.prefix())
    ) as cloud:
        booted = cloud.boot()
        _send_untraced(cloud)
    stored = outcome.read(store, booted["base_id"])
    traces.assert_same(traces.in_store(stored), clouds.EXPECTED)
    assert len(base.get_driver(store).list_traces()) == 1

    with clouds.running(jaeger.url, transport_url=rabbit.url, db_url=mariadb.fresh_url()) as cloud:
        in_jaeger_id = cloud.boot()["base_id"].replace("-", "")
    sent = jaeger.wait_for_trace(in_jaeger_id, sum(clouds.EXPECTED.values()))
    assert _tags_in_store(stored) == _tags_in_jaeger(sent)


@pytest.mark.parametrize("model", settings.MODELS)
def test_rpc_in_memory_makes_the_same_tree(tmp_path: Path, model: str) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    with clouds.running(store, model=model) as cloud:
        booted = cloud.boot()
    traces.assert_same(traces.in_store(outcome.read(store, booted["base_id"])), clouds.EXPECTED_IN_MEMORY)


def test_services_under_eventlet_make_the_same_tree_over_a_broker(tmp_path: Path, rabbit: Rabbit) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    with clouds.running(store, transport_url=rabbit.url, model="eventlet") as cloud:
        booted = cloud.boot()
    traces.assert_same(traces.in_store(outcome.read(store, booted["base_id"])), clouds.EXPECTED)
