# SPDX-License-Identifier: Apache-2.0
"""A real cloud: keystone, placement, glance, neutron and nova boot servers, and each boot is one whole trace, as is
what is done with a server afterwards.
"""

import time
from collections import Counter
from typing import Any, NamedTuple

import pytest

from tests import conftest, environments
from tests.servers import Jaeger, Missing
from tests.waiting import wait_until
from tools.cloud import environment
from tools.cloud.cloud import KEY, Cloud

pytestmark = pytest.mark.slow

#: Services whose points are in each boot, whoever asked for it.
EVERYWHERE = {
    "glance-api",
    "keystone-public",
    "nova-nova-compute",
    "nova-nova-conductor",
    "nova-nova-scheduler",
    "nova-osapi_compute",
    "placement-placement",
}

#: What happens exactly once wherever a server gets a network: service, operation, kind of span.
NETWORK = [
    ("neutron-neutron-server", "wsgi POST", "server"),
    ("neutron-neutron-server", "wsgi PUT", "server"),
]
#: What happens exactly once in a boot besides, by the points of nova's profile.
ONCE = [
    ("nova-osapi_compute", "wsgi POST", "server"),
    ("nova-osapi_compute", "rpc schedule_and_build_instances", "producer"),
    ("nova-nova-conductor", "rpc schedule_and_build_instances", "consumer"),
    ("nova-nova-conductor", "nova.conductor.manager.ComputeTaskManager.schedule_and_build_instances", None),
    ("nova-nova-conductor", "rpc select_destinations", "client"),
    ("nova-nova-scheduler", "rpc select_destinations", "server"),
    ("nova-nova-scheduler", "nova.scheduler.manager.SchedulerManager.select_destinations", None),
    ("nova-nova-conductor", "rpc build_and_run_instance", "producer"),
    ("nova-nova-compute", "rpc build_and_run_instance", "consumer"),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager.build_and_run_instance", None),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager._do_build_and_run_instance", None),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager._build_and_run_instance", None),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager._allocate_network", None),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager._allocate_network_async", None),
    ("nova-nova-compute", "nova.compute.resource_tracker.ResourceTracker.instance_claim", None),
    ("nova-nova-compute", "nova.virt.fake.FakeDriver.spawn", None),
]
#: What a patch adds.
ONCE_PATCHED = [*ONCE, ("nova-nova-compute", "allocate network", None)]


class Request(NamedTuple):
    """What is done with a server by one command of ``nova``, and what happens exactly once for it."""

    words: list[str]
    wanted: str  # the server's status afterwards; empty: it is gone
    once: list[tuple[str, str, str | None]]


#: In the order in which they are asked for.
AFTERWARDS = {
    "snapshot": Request(
        ["image-create", "worked-with", "picture"],
        "ACTIVE",
        [
            ("glance-api", "wsgi POST", "server"),
            ("nova-osapi_compute", "wsgi POST", "server"),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager.snapshot_instance", None),
            ("nova-osapi_compute", "rpc snapshot_instance", "producer"),
            ("nova-nova-compute", "rpc snapshot_instance", "consumer"),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager._snapshot_instance", None),
            ("nova-nova-compute", "nova.virt.fake.FakeDriver.snapshot", None),
        ],
    ),
    "resize": Request(
        ["resize", "worked-with", "small"],
        "VERIFY_RESIZE",
        [
            ("nova-osapi_compute", "wsgi POST", "server"),
            ("nova-nova-scheduler", "nova.scheduler.manager.SchedulerManager.select_destinations", None),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager.prep_resize", None),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager.resize_instance", None),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager.finish_resize", None),
            *(("nova-nova-compute", f"rpc {name}", "consumer") for name in ("prep_resize", "resize_instance")),
            ("nova-nova-compute", "rpc finish_resize", "consumer"),
            ("nova-nova-compute", "nova.compute.resource_tracker.ResourceTracker.resize_claim", None),
            ("nova-nova-compute", "nova.virt.fake.FakeDriver.migrate_disk_and_power_off", None),
            ("nova-nova-compute", "nova.virt.fake.FakeDriver.finish_migration", None),
        ],
    ),
    "confirm": Request(
        ["resize-confirm", "worked-with"],
        "ACTIVE",
        [
            ("nova-osapi_compute", "wsgi POST", "server"),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager.confirm_resize", None),
            ("nova-nova-compute", "rpc confirm_resize", "consumer"),
            ("nova-nova-compute", "nova.virt.fake.FakeDriver.confirm_migration", None),
        ],
    ),
    "delete": Request(
        ["delete", "worked-with"],
        "",
        [
            ("nova-osapi_compute", "wsgi DELETE", "server"),
            ("nova-nova-compute", "nova.compute.manager.ComputeManager.terminate_instance", None),
            ("placement-placement", "wsgi DELETE", "server"),
            ("nova-nova-compute", "rpc terminate_instance", "consumer"),
            ("nova-nova-compute", "nova.virt.fake.FakeDriver.destroy", None),
            # In a looping call of oslo.service.
            ("neutron-neutron-server", "wsgi DELETE", "server"),
        ],
    ),
}

#: What happens exactly once in a boot that finds no host.
ONCE_REFUSED = Request(
    [],
    "ERROR",
    [
        ("nova-osapi_compute", "wsgi POST", "server"),
        ("nova-nova-conductor", "nova.conductor.manager.ComputeTaskManager.schedule_and_build_instances", None),
        ("nova-nova-scheduler", "nova.scheduler.manager.SchedulerManager.select_destinations", None),
        ("nova-nova-conductor", "rpc select_destinations", "client"),
    ],
)


class Traced(NamedTuple):
    """One request's trace."""

    cli: str
    base_id: str
    spans: list[dict[str, Any]]
    services: dict[str, str]  # process to name

    def kinds(self) -> "Counter[tuple[str, str, str | None]]":
        """How often which operation of which service is there."""
        return Counter(
            (self.services[span["processID"]], span["operationName"], tags(span).get("span.kind"))
            for span in self.spans
        )


def tags(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def whole(jaeger: Jaeger, base_id: str, cli: str, once: list[tuple[str, str, str | None]]) -> Traced:
    """The trace *base_id* with all that must be in it, once it has stopped growing."""
    size, since_s = 0, 0.0

    def look() -> Traced | None:
        nonlocal size, since_s
        trace = jaeger.trace(base_id.replace("-", ""))
        assert trace is not None
        services = {key: process["serviceName"] for key, process in trace["processes"].items()}
        traced = Traced(cli, base_id, trace["spans"], services)
        missing = [kind for kind in once if not traced.kinds()[kind]]
        assert not missing, missing
        if len(traced.spans) != size:
            size, since_s = len(traced.spans), time.monotonic()
        # Reporters deliver once a second.
        return traced if time.monotonic() - since_s > 5 else None

    return wait_until(look, 120, f"the whole trace {base_id}")


@pytest.fixture(scope="module", params=["patched", "plain"])
def patched(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "patched")


class Run(NamedTuple):
    """What one cloud was asked for."""

    boots: list[Traced]
    afterwards: dict[str, Traced]
    refused: Traced


@pytest.fixture(scope="module", params=["threading", "eventlet"])
def run(request: pytest.FixtureRequest, patched: bool, jaeger: Jaeger) -> Run:
    """Three boots through each client in turn, one after the other in one cloud, with untraced requests between; a
    server that is worked with; and a boot of one that no host has room for.
    """
    boots, afterwards = [], {}
    in_a_boot = [*NETWORK, *(ONCE_PATCHED if patched else ONCE)]
    try:
        with (
            environment.environment(patched=patched) as programs,
            Cloud(programs, jaeger.url, request.param) as cloud,
        ):
            for number in range(3):
                for cli in ("nova", "openstack"):
                    boots.append(whole(jaeger, cloud.boot(f"{cli}-{number}", cli), cli, in_a_boot))
                    cloud.delete(f"{cli}-{number}")
            cloud.boot("worked-with")
            for name, asked in AFTERWARDS.items():
                base_id = cloud.traced("nova", *asked.words)
                cloud.wait("worked-with", asked.wanted)
                afterwards[name] = whole(jaeger, base_id, "nova", asked.once)
            base_id = cloud.boot("too-large", flavor="huge", wanted=ONCE_REFUSED.wanted)
            refused = whole(jaeger, base_id, "nova", ONCE_REFUSED.once)
            cloud.delete("too-large")
            logs = {name: server.log_tail(100_000) for name, server in cloud.services.items()}
            found = [*boots, *afterwards.values(), refused]
            again = [jaeger.trace(each.base_id.replace("-", "")) for each in found]
    except (Missing, environments.NotMade) as lacking:
        conftest.missing(str(lacking))
    for name, log in logs.items():
        assert "tracing fault" not in log, f"{name}:\n{log[-3000:]}"
    # Nothing has come into a trace after its request.
    assert [len(trace["spans"]) for trace in again if trace] == [len(each.spans) for each in found]
    return Run(boots, afterwards, refused)


@pytest.fixture
def boots(run: Run) -> list[Traced]:
    return run.boots


def lost(each: Traced) -> list[str]:
    """Operations of spans whose parents, or what they reference, are not in the trace."""
    ids = {span["spanID"] for span in each.spans}
    return [
        span["operationName"]
        for span in each.spans
        for reference in span["references"]
        if reference["spanID"] not in ids
    ]


def way_up(each: Traced, span: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans above *span*, the nearest first."""
    by_id = {span["spanID"]: span for span in each.spans}
    way = []
    while span["references"]:
        span = by_id[min(span["references"], key=lambda ref: ref["refType"])["spanID"]]
        way.append(span)
    return way


def test_each_boot_is_one_whole_trace(boots: list[Traced]) -> None:
    assert len({each.base_id for each in boots}) == 6
    for each in boots:
        services = set(each.services.values())
        assert services >= EVERYWHERE, f"{each.cli}: {services}"
        assert not lost(each), f"{each.cli}: these have lost their parents: {lost(each)}"
        assert KEY not in str(each.spans)


def test_nothing_of_another_request_is_in_it(boots: list[Traced], patched: bool) -> None:
    for each in boots:
        kinds = each.kinds()
        for kind in [*NETWORK, *(ONCE_PATCHED if patched else ONCE)]:
            assert kinds[kind] == 1, f"{each.cli}: {kind} {kinds[kind]} times"
        # neutron deletes the reservation of a quota in each boot.
        of_nova = [name for service, name, _ in kinds if service in nova_services()]
        strangers = [name for name in of_nova if "terminate" in name or "delete" in name or "periodic" in name]
        assert not strangers, strangers


def test_all_boots_look_the_same(boots: list[Traced]) -> None:
    """Each client's three traces have the same kinds of spans in nova, whatever a cache has saved elsewhere."""
    for cli in ("nova", "openstack"):
        seen = [{kind for kind in each.kinds() if kind[0] in nova_services()} for each in boots if each.cli == cli]
        # What is asked of other services for the first time only: versions, tokens, cells.
        rest = [{kind for kind in kinds if not kind[1].startswith(("http ", "wsgi ", "cell "))} for kinds in seen]
        assert rest[1] == rest[2]
        assert rest[0] >= rest[1]


def test_each_server_span_knows_its_request(boots: list[Traced]) -> None:
    """Each has a request id, and nova's and neutron's lead to the request of the client."""
    for each in boots:
        served = [span for span in each.spans if tags(span).get("span.kind") in ("server", "consumer")]
        assert [span["operationName"] for span in served if "openstack.request_id" not in tags(span)] == []
        (post,) = [tags(span) for span in served if (each.services[span["processID"]], span["operationName"]) ==
                   ("nova-osapi_compute", "wsgi POST")]  # fmt: skip
        request_id, server_ids = post["openstack.request_id"], set()
        for span in served:
            if each.services[span["processID"]] == "neutron-neutron-server" and span["operationName"] != "wsgi GET":
                assert tags(span)["openstack.global_request_id"] == request_id
            if span["operationName"] in ("rpc build_and_run_instance", "rpc select_destinations"):
                assert tags(span)["openstack.request_id"] == request_id
                server_ids.add(tags(span)["openstack.server_id"])
        assert len(server_ids) == 1


def nova_services() -> set[str]:
    return {name for name in EVERYWHERE if name.startswith("nova-")}


def test_the_build_is_under_the_request(boots: list[Traced]) -> None:
    """From the driver's call up to the client's request, whoever ran it and wherever."""
    for each in boots:
        (spawn,) = [span for span in each.spans if span["operationName"] == "nova.virt.fake.FakeDriver.spawn"]
        way = [(each.services[span["processID"]], span["operationName"]) for span in way_up(each, spawn)]
        wanted = [(service, operation) for service, operation, kind in reversed(ONCE)
                  if kind in ("consumer", "producer", "server") and "select" not in operation]  # fmt: skip
        assert [step for step in way if step in wanted] == wanted


def test_the_network_is_under_the_request_and_the_driver_joins_it(boots: list[Traced], patched: bool) -> None:
    """The build hands it over in a step that does not wait; that its own request has ended by then changes nothing."""
    for each in boots:
        named = {span["operationName"]: span for span in each.spans}
        writes = [span for span in each.spans if (each.services[span["processID"]], span["operationName"], "server")
                  in NETWORK]  # fmt: skip
        for write in writes:
            way = [span["operationName"].rpartition(".")[2] for span in way_up(each, write)]
            if not patched:
                assert "build_and_run_instance" in way
                continue
            above = ["_allocate_network_async", "allocate network", "_allocate_network", "_build_networks_for_instance"]
            at = way.index(above[0])
            assert way[at : at + len(above)] == above
            assert "rpc build_and_run_instance" in way
        if patched:
            allocation, spawn = named["allocate network"], named["nova.virt.fake.FakeDriver.spawn"]
            assert [reference["refType"] for reference in allocation["references"]] == ["FOLLOWS_FROM"]
            joins = [span for span in each.spans if span["operationName"] == "join"]
            joined = {(ref["refType"], ref["spanID"]) for join in joins for ref in join["references"]}
            assert joined >= {("CHILD_OF", spawn["spanID"]), ("FOLLOWS_FROM", allocation["spanID"])}


@pytest.mark.parametrize("name", AFTERWARDS)
def test_what_is_done_with_a_server_is_one_whole_trace(run: Run, name: str) -> None:
    each = run.afterwards[name]
    assert not lost(each), f"these have lost their parents: {lost(each)}"
    kinds = each.kinds()
    wrong = {kind: kinds[kind] for kind in AFTERWARDS[name].once if kinds[kind] != 1}
    assert not wrong


def test_a_boot_that_finds_no_host_is_one_whole_trace_with_its_error(run: Run) -> None:
    assert not lost(run.refused)
    kinds = run.refused.kinds()
    wrong = {kind: kinds[kind] for kind in ONCE_REFUSED.once if kinds[kind] != 1}
    assert not wrong
    assert not [kind for kind in kinds if kind[0] == "nova-nova-compute"]
    failed = {span["operationName"] for span in run.refused.spans if tags(span).get("error")}
    assert "nova.scheduler.manager.SchedulerManager.select_destinations" in failed
