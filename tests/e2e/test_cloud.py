# SPDX-License-Identifier: Apache-2.0
"""A real cloud: keystone, placement, glance, neutron and nova boot servers, and each boot is one whole trace."""

import faulthandler
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

#: What happens exactly once in a boot: service, operation, kind of span.
ONCE_PATCHED = [
    ("nova-osapi_compute", "wsgi POST", "server"),
    ("nova-osapi_compute", "rpc schedule_and_build_instances", "producer"),
    ("nova-nova-conductor", "rpc schedule_and_build_instances", "consumer"),
    ("nova-nova-conductor", "rpc select_destinations", "client"),
    ("nova-nova-scheduler", "rpc select_destinations", "server"),
    ("nova-nova-conductor", "rpc build_and_run_instance", "producer"),
    ("nova-nova-compute", "rpc build_and_run_instance", "consumer"),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager._do_build_and_run_instance", None),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager._build_and_run_instance", None),
    ("nova-nova-compute", "nova.compute.resource_tracker.ResourceTracker.instance_claim", None),
    ("nova-nova-compute", "nova.virt.fake.FakeDriver.spawn", None),
]
ONCE_PLAIN = [
    ("nova-osapi_compute", "wsgi POST", "server"),
    ("nova-nova-conductor", "nova.conductor.manager.ComputeTaskManager.schedule_and_build_instances", None),
    ("nova-nova-compute", "nova.compute.manager.ComputeManager.build_and_run_instance", None),
]


class Boot(NamedTuple):
    """One boot's trace."""

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


def boot(cloud: Cloud, jaeger: Jaeger, cli: str, name: str, once: list[tuple[str, str, str | None]]) -> Boot:
    base_id = cloud.boot(name, cli)
    sizes: list[int] = []

    def whole() -> Boot | None:
        """The trace with all that must be in it, once it has stopped growing."""
        trace = jaeger.trace(base_id.replace("-", ""))
        assert trace is not None
        services = {key: process["serviceName"] for key, process in trace["processes"].items()}
        found = Boot(cli, base_id, trace["spans"], services)
        missing = [kind for kind in once if not found.kinds()[kind]]
        assert not missing, missing
        sizes.append(len(found.spans))
        # Reporters deliver once a second: as long without a new span as some of these looks take together.
        return found if len(sizes) > 200 and len(set(sizes[-200:])) == 1 else None

    return wait_until(whole, 120, f"the whole trace of {name}")


@pytest.fixture(scope="module", params=["patched", "plain"])
def patched(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "patched")


@pytest.fixture(scope="module", params=["threading", "eventlet"])
def boots(request: pytest.FixtureRequest, patched: bool, jaeger: Jaeger) -> list[Boot]:
    """Three boots through each client in turn, one after the other in one cloud, with untraced requests between."""
    faulthandler.cancel_dump_traceback_later()  # all of it takes longer than a test may; each wait has its deadline
    found = []
    once = ONCE_PATCHED if patched else ONCE_PLAIN
    try:
        with (
            environment.environment(patched=patched) as programs,
            Cloud(programs, jaeger.url, request.param) as cloud,
        ):
            for number in range(3):
                for cli in ("nova", "openstack"):
                    found.append(boot(cloud, jaeger, cli, f"{cli}-{number}", once))
                    cloud.delete(f"{cli}-{number}")
            logs = {name: server.log_tail(100_000) for name, server in cloud.services.items()}
            again = [jaeger.trace(each.base_id.replace("-", "")) for each in found]
    except (Missing, environments.NotMade) as lacking:
        conftest.missing(str(lacking))
    for name, log in logs.items():
        assert "tracing fault" not in log, f"{name}:\n{log[-3000:]}"
    # Nothing has come into a trace after its request.
    assert [len(trace["spans"]) for trace in again if trace] == [len(each.spans) for each in found]
    return found


def test_each_boot_is_one_whole_trace(boots: list[Boot], patched: bool) -> None:
    assert len({each.base_id for each in boots}) == 6
    for each in boots:
        services = set(each.services.values())
        # Of an unpatched scheduler's calls of placement, and of tokens that were cached, keystone sees nothing.
        expected = EVERYWHERE - (set() if patched else {"keystone-public", "placement-placement", "glance-api"})
        assert services >= expected, f"{each.cli}: {services}"
        ids = {span["spanID"] for span in each.spans}
        lost = [span["operationName"] for span in each.spans
                for reference in span["references"] if reference["spanID"] not in ids]  # fmt: skip
        assert not lost, f"{each.cli}: these have lost their parents: {lost}"
        assert KEY not in str(each.spans)


def test_nothing_of_another_request_is_in_it(boots: list[Boot], patched: bool) -> None:
    for each in boots:
        kinds = each.kinds()
        for kind in ONCE_PATCHED if patched else ONCE_PLAIN:
            assert kinds[kind] == 1, f"{each.cli}: {kind} {kinds[kind]} times"
        strangers = [name for _, name, _ in kinds if "terminate" in name or "delete" in name or "periodic" in name]
        assert not strangers, strangers


def test_all_boots_look_the_same(boots: list[Boot]) -> None:
    """Each client's three traces have the same kinds of spans in nova, whatever a cache has saved elsewhere."""
    for cli in ("nova", "openstack"):
        seen = [{kind for kind in each.kinds() if kind[0] in nova_services()} for each in boots if each.cli == cli]
        # What is asked of other services for the first time only: versions, tokens, cells.
        rest = [{kind for kind in kinds if not kind[1].startswith(("http ", "wsgi ", "cell "))} for kinds in seen]
        assert rest[1] == rest[2]
        assert rest[0] >= rest[1]


def nova_services() -> set[str]:
    return {name for name in EVERYWHERE if name.startswith("nova-")}


def test_the_build_is_under_the_request(boots: list[Boot], patched: bool) -> None:
    """From the driver's call up to the client's request, whoever ran it and wherever."""
    if not patched:
        return  # nothing of it is shown: ONCE_PLAIN is all that there is
    for each in boots:
        by_id = {span["spanID"]: span for span in each.spans}
        (span,) = [span for span in each.spans if span["operationName"] == "nova.virt.fake.FakeDriver.spawn"]
        way = []
        while span["references"]:
            span = by_id[min(span["references"], key=lambda ref: ref["refType"])["spanID"]]
            way.append((each.services[span["processID"]], span["operationName"]))
        wanted = [(service, operation) for service, operation, kind in reversed(ONCE_PATCHED)
                  if kind in ("consumer", "producer", "server") and "select" not in operation]  # fmt: skip
        assert [step for step in way if step in wanted] == wanted
