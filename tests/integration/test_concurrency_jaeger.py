# SPDX-License-Identifier: Apache-2.0
"""Forks and joins in a real Jaeger: read back over its query API, with exactly the references that were made."""

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from osprofiler import config, profiler
from osprofiler.context import current
from osprofiler.delivery.base import NullReporter, Reporter
from osprofiler.drivers import connect
from osprofiler.tracer import global_tracer
from tests.integration.test_jaeger_delivery import tags_of
from tests.servers import Jaeger

KEY = "a key"


def use(url: str) -> Reporter:
    """Send to *url* from now on."""
    reporter = connect.reporter_for(url, project="concurrency", service="jaeger")
    global_tracer.report_to(lambda: reporter)
    return reporter


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    profiler.clean()
    current.point.set(None)
    global_tracer.report_to(NullReporter)
    config.reset()


def work(name: str) -> None:
    with profiler.Trace(f"work {name}"):
        pass


def fail(name: str) -> None:
    work(name)
    raise LookupError(name)


def boot() -> None:
    """A request that forks onto threads, a task-like detached branch and a process, inside one another."""
    with profiler.Trace("boot"):
        with profiler.fork("ask") as ask, ThreadPoolExecutor(4) as pool:
            for host in "abc":
                pool.submit(ask.wrap(fail if host == "c" else work, f"ask {host}"), host)
            pool.shutdown()
        clean_up = profiler.fork("clean up", detached=True)
        detached = threading.Thread(target=clean_up.wrap(work), args=("cleaning",))

        def build() -> None:
            with profiler.Trace("building"), profiler.fork("images") as images:
                context = multiprocessing.get_context("fork")
                process = context.Process(target=images.wrap(work, "fetch"), args=("fetching",))
                process.start()
                process.join()
                images.branch("forgotten")

        builder = profiler.fork("build")
        thread = threading.Thread(target=builder.wrap(build))
        thread.start()
        thread.join()
        profiler.join(builder)
    detached.start()
    detached.join()


def references(trace: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    """Each span's references by name: (type, name of the span referred to); joins by what they join."""

    def name(span: dict[str, Any]) -> str:
        tags = tags_of(span)
        own = str(tags["osprofiler.name"])
        return f"join {tags['osprofiler.join']}" if own == "join" else own

    names = {span["spanID"]: name(span) for span in trace["spans"]}
    assert len(names) == len(trace["spans"]), "an id came twice"
    assert len(set(names.values())) == len(names), "a name came twice"
    for span in trace["spans"]:
        assert {one["traceID"] for one in span["references"]} <= {trace["traceID"]}
    return {
        names[span["spanID"]]: {(one["refType"], names[one["spanID"]]) for one in span["references"]}
        for span in trace["spans"]
    }


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_a_forked_and_joined_trace(jaeger: Jaeger, transport: str) -> None:
    reporter = use(jaeger.url if transport == "http" else jaeger.udp_url)
    base_id = str(uuid.uuid4())
    profiler.init(KEY, base_id=base_id)
    boot()
    assert reporter.flush(30)
    trace = jaeger.wait_for_trace(base_id.replace("-", ""), 16)
    child, follows = "CHILD_OF", "FOLLOWS_FROM"
    assert references(trace) == {
        "boot": set(),
        "ask a": {(child, "boot")},
        "ask b": {(child, "boot")},
        "ask c": {(child, "boot")},
        "work a": {(child, "ask a")},
        "work b": {(child, "ask b")},
        "work c": {(child, "ask c")},
        "join ask": {(child, "boot"), (follows, "ask a"), (follows, "ask b"), (follows, "ask c")},
        "clean up": {(follows, "boot")},
        "work cleaning": {(child, "clean up")},
        "build": {(child, "boot")},
        "building": {(child, "build")},
        "fetch": {(child, "building")},
        "work fetching": {(child, "fetch")},
        "join images": {(child, "building"), (follows, "fetch")},
        "join build": {(child, "boot"), (follows, "build")},
    }
    every = [tags_of(span) for span in trace["spans"]]
    joins = {tags["osprofiler.join"]: tags for tags in every if "osprofiler.join" in tags}
    tags = {str(one["osprofiler.name"]): one for one in every}
    assert tags["ask c"]["error"] is True
    assert tags["clean up"]["osprofiler.detached"] is True
    assert tags["clean up"]["osprofiler.entered_late"] == "trace"
    assert joins["ask"]["osprofiler.join.failed.names"] == "ask c"
    assert joins["images"]["osprofiler.join.never_entered.names"] == "forgotten"
    assert joins["images"]["osprofiler.join.elsewhere"] == 1
    process = {str(tags_of(span)["osprofiler.name"]): span["processID"] for span in trace["spans"]}
    assert process["fetch"] == process["work fetching"] != process["building"] == process["boot"]


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_ten_thousand_references_pass_every_transport(jaeger: Jaeger, transport: str) -> None:
    base_id = str(uuid.uuid4())
    global_tracer.report_to(NullReporter)  # the branches themselves are not what this is about
    profiler.init(KEY, base_id=base_id)
    with profiler.Trace("root"):
        fork = profiler.fork("fan-out")
        branches = [fork.branch() for _ in range(10_000)]
        for branch in branches:
            with branch:
                pass
        reporter = use(jaeger.url if transport == "http" else jaeger.udp_url)
        fork.join()
    assert reporter.flush(30)
    trace = jaeger.wait_for_trace(base_id.replace("-", ""), 11)
    joins = {span["spanID"]: span for span in trace["spans"] if "osprofiler.join" in tags_of(span)}
    assert len(joins) == 10
    every = [one for join in joins.values() for one in join["references"]]
    referred = [one["spanID"] for one in every if one["refType"] == "FOLLOWS_FROM"]
    assert sorted(one for one in referred if one not in joins) == sorted(f"{b.span_id:016x}" for b in branches)
    assert sum(one in joins for one in referred) == 9, "each part but the first comes after another"
