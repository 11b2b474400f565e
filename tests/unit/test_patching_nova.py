# SPDX-License-Identifier: Apache-2.0
"""The functions that the patches of nova and novaclient call, without nova and novaclient."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentracing import ReferenceType
from oslo_config import cfg

from osprofiler import config, messaging, nova, novaclient, opentracing_compat, opts, profiler
from osprofiler.concurrency import isolation
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.instrumentation import messaging as instrumented
from osprofiler.instrumentation import nova_work, points
from osprofiler.instrumentation.points.placing import placing
from osprofiler.propagation import signed
from tests.unit.core_kit import a_clean_process
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "a key of this test"


@pytest.fixture
def conf() -> Iterator[cfg.ConfigOpts]:
    made = cfg.ConfigOpts()
    opts.set_defaults(made, hmac_keys=KEY)
    made([])
    yield made
    messaging.uninstrument()
    nova.on = True


@pytest.fixture
def recorder(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    yield spans
    opentracing_compat.uninstrument()


@pytest.mark.parametrize("enabled", [True, False])
def test_rpc_is_traced_only_where_profiling_is_enabled(conf: cfg.ConfigOpts, enabled: bool) -> None:
    conf.set_override("enabled", enabled, group="profiler")
    nova.instrument(conf)
    assert nova.on is enabled
    assert instrumented._wrapping.on is enabled


def test_a_configuration_without_our_options_means_off(conf: cfg.ConfigOpts) -> None:
    nova.instrument(cfg.ConfigOpts())
    assert nova.on is False


def test_the_context_goes_out_signed_and_without_the_key(recorder: Recorder) -> None:
    config.publish(hmac_keys=(KEY,))
    profiler.init(KEY)
    with profiler.Trace("request"):
        sent = nova.inject({"user": "u"})
        assert sent.keys() >= {"user", signed.ENVELOPE_KEY}
        assert "trace_info" not in sent
        assert KEY not in str(sent)
        here = profiler.get()
        assert here is not None
        there = here.get_base_id(), here.get_id()
    profiler.clean()

    assert nova.receive(sent) == {"user": "u"}
    got = profiler.get()
    assert got is not None
    assert (got.get_base_id(), got.get_id()) == there
    profiler.clean()


def test_a_plain_peers_request_is_read_if_its_key_is_ours(recorder: Recorder) -> None:
    config.publish(hmac_keys=(KEY,))
    info = {"base_id": "11111111-1111-4111-8111-111111111111", "parent_id": "22222222-2222-4222-8222-222222222222"}
    assert nova.receive({"user": "u", "trace_info": {"hmac_key": "another", **info}}) == {"user": "u"}
    assert profiler.get() is None
    assert nova.receive({"user": "u", "trace_info": {"hmac_key": KEY, **info}}) == {"user": "u"}
    got = profiler.get()
    assert got is not None
    assert got.get_base_id() == info["base_id"]
    profiler.clean()


def test_a_context_of_another_kind_is_handed_on(recorder: Recorder) -> None:
    profiler.init(KEY)
    assert nova.inject("no dictionary") == "no dictionary"
    assert nova.receive("no dictionary") == "no dictionary"
    profiler.clean()


def spawn(pool: ThreadPoolExecutor, work: Any, *args: Any) -> Any:
    """Submit work like the patched pools of nova."""

    @wraps(work)
    def context_wrapper(*args: Any) -> Any:
        return work(*args)

    return pool.submit(nova.handed_over(context_wrapper), *args)


def _locked_do_build_and_run_instance() -> None:
    with profiler.Trace("built"):
        pass


def wait_for_me() -> None:
    with profiler.Trace("waited for"):
        pass


@pytest.mark.parametrize(
    ("work", "reference", "inside"),
    [
        (wait_for_me, ReferenceType.CHILD_OF, "waited for"),
        (_locked_do_build_and_run_instance, ReferenceType.FOLLOWS_FROM, "built"),
    ],
)
def test_work_in_a_pool_is_a_branch_of_the_right_kind(
    recorder: Recorder, work: Any, reference: str, inside: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        profiler.init(KEY)
        with profiler.Trace("request"):
            spawn(pool, work).result()
        profiler.clean()
        assert pool.submit(current.point.get).result() is None
        assert nova.handed_over(work) is work, "without a trace nothing is done"
    name = f"{__name__}.{work.__name__}"
    assert recorder.tree() == [("request", None), (name, "request"), (inside, name)]
    assert recorder.by_name(name).follows is (reference == ReferenceType.FOLLOWS_FROM)


@pytest.mark.parametrize("instrumented", [(), ("futures", "threading")], ids=["patches alone", "futures too"])
def test_work_is_in_the_trace_though_all_that_handed_it_over_has_ended(
    recorder: Recorder, instrumented: tuple[str, ...]
) -> None:
    """A cast's dispatch ends at once, and its work hands on work of its own: with one worker each of them begins when
    the one before has ended.
    """
    opentracing_compat.instrument(*instrumented)
    dispatched = threading.Event()

    def ask_neutron() -> None:
        with profiler.Trace("POST /ports"):
            pass

    def build() -> None:
        with profiler.Trace("_allocate_network"):
            spawn(pool, ask_neutron)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(dispatched.wait)
        profiler.init(KEY)
        with profiler.Trace("rpc build_and_run_instance"):
            built = spawn(pool, build)
        dispatched.set()
        built.result()
        profiler.clean()
    qualified = f"{__name__}.test_work_is_in_the_trace_though_all_that_handed_it_over_has_ended.<locals>"
    assert recorder.tree() == [
        ("rpc build_and_run_instance", None),
        (f"{qualified}.build", "rpc build_and_run_instance"),
        ("_allocate_network", f"{qualified}.build"),
        (f"{qualified}.ask_neutron", "_allocate_network"),
        ("POST /ports", f"{qualified}.ask_neutron"),
    ]


@pytest.mark.parametrize("instrumented", [(), ("futures", "threading")], ids=["patches alone", "futures too"])
def test_cells_join_and_name_who_failed_and_who_did_not_answer(
    recorder: Recorder, instrumented: tuple[str, ...]
) -> None:
    opentracing_compat.instrument(*instrumented)
    fault = ValueError("of the second cell")

    def gather(name: str) -> Any:
        return fault if name == "two" else name

    profiler.init(KEY)
    with profiler.Trace("request"), ThreadPoolExecutor(1) as pool:
        cells = nova.Cells()
        work = {name: cells.work(SimpleNamespace(name=f"the {name}", uuid=name), gather) for name in ("one", "two")}
        nameless = cells.work(SimpleNamespace(name=None, uuid="three"), gather)
        assert nameless is not gather
        assert [spawn(pool, work[name], name).result() for name in work] == ["one", fault]
        cells.join()
    profiler.clean()
    join = recorder.by_name("join")
    assert [span_id for _, _, span_id in join.links] == [
        recorder.by_name(f"cell the {name}").span_id for name in ("one", "two")
    ]
    tags = dict(join.own_tags)
    assert tags["osprofiler.join.failed.names"] == "cell the two"
    assert tags["osprofiler.join.never_entered.names"] == "cell three"
    # One branch per cell, although nova's pool and the pool's instrumentation would each make another one.
    assert sorted(filter(None, recorder.names())) == ["cell the one", "cell the two", "join", "request"]


def test_cells_without_a_trace_are_nothing(recorder: Recorder) -> None:
    cells = nova.Cells()
    assert cells.work(SimpleNamespace(name="one", uuid="one"), len) is len
    cells.join()
    assert recorder.started == []


@pytest.mark.parametrize(("options", "expected"), [({"instrument": "threading"}, True), ({"points": ""}, False)])
def test_a_patched_nova_has_its_points_unless_the_operator_wants_none(
    conf: cfg.ConfigOpts, options: dict[str, str], expected: bool, tmp_path: Path
) -> None:
    file = tmp_path / "nova.conf"
    lines = [f"{name} = {value}" for name, value in {"connection_string": "sqlite://", **options}.items()]
    file.write_text("\n".join(["[profiler]", "enabled = true", *lines]))
    conf(["--config-file", str(file)])
    with a_clean_process():
        nova.init_from_conf(conf, context={}, project="nova", service="nova-compute", host="here")
        asked_for = {spec.target for spec in placing._specs}
        assert ("nova.compute.manager:ComputeManager._do_build_and_run_instance" in asked_for) is expected
        points.follow("", config.Settings())
        opentracing_compat.uninstrument()
        nova_work.networks.uninstall()
        isolation.uninstall()
        switches.reset()


def test_what_nova_retries_stays_in_its_request() -> None:
    """``ComputeManager`` frees a server's network like this. In its own process: the backend of oslo.service stays."""
    program = """
from oslo_config import cfg
from oslo_service import backend
backend.init_backend(backend.BackendType.THREADING)
from oslo_service import loopingcall
from osprofiler import nova, opts, profiler
conf = cfg.ConfigOpts()
opts.set_defaults(conf, enabled=True, hmac_keys="a key", connection_string="sqlite://")
conf([])
nova.init_from_conf(conf, context={}, project="nova", service="nova-compute", host="here")
tried = []
@loopingcall.RetryDecorator(max_retry_count=3, inc_sleep_time=0, max_sleep_time=0, exceptions=(ConnectionError,))
def deallocate():
    here = profiler.get()
    tried.append(here and here.get_base_id())
    if len(tried) == 1:
        raise ConnectionError
    return "deallocated"
base_id = profiler.init("a key").get_base_id()
with profiler.Trace("terminate"):
    assert deallocate() == "deallocated"
profiler.clean()
assert deallocate() == "deallocated"
print(tried == [base_id, base_id, None])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "True", done.stderr


# novaclient

UUID = "0c5d9a54-1f0e-4f0a-9f3e-0d6f4f0c2a11"


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("", "/"),
        ("/", "/"),
        ("/servers", "/servers"),
        ("/servers/detail", "/servers/detail"),
        (f"/servers/{UUID}", "/servers/{id}"),
        (f"/servers/{UUID}/action", "/servers/{id}/action"),
        (f"/servers/{UUID}/metadata/colour", "/servers/{id}/metadata/{id}"),
        (f"/servers/{UUID}/os-volume_attachments/{UUID.replace('-', '')}", "/servers/{id}/os-volume_attachments/{id}"),
        ("/flavors/tiny/os-extra_specs", "/flavors/{id}/os-extra_specs"),
        ("/os-keypairs/my%20key", "/os-keypairs/{id}"),
        ("/os-hypervisors/statistics", "/os-hypervisors/statistics"),
        ("/os-hypervisors/host-1/servers", "/os-hypervisors/{id}/servers"),
        ("/os-quota-sets/p/defaults", "/os-quota-sets/{id}/defaults"),
        ("/os-services/enable", "/os-services/enable"),
        ("/os-server-external-events", "/os-server-external-events"),
        ("/v2.1/servers/detail", "/servers/detail"),
        (f"/v2/{UUID.replace('-', '')}/servers/{UUID}", "/servers/{id}"),
        ("/v2.1", "/"),
        ("/" + "/".join("abcdefghijkl"), "/a/{id}/c/{id}/e/{id}/g/{id}"),
    ],
)
def test_path_templates(path: str, template: str) -> None:
    assert novaclient.path_template(path) == template


class Sent:
    """A function that sends a request, and returns a response with a status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: list[dict[str, str]] = []

    def __call__(self, url: str, method: str, **kwargs: Any) -> tuple[Any, str]:
        self.headers.append(dict(kwargs.get("headers", {})))
        if not self.status:
            raise ConnectionError("nobody there")
        headers = {"x-compute-request-id": "req-1"}
        return SimpleNamespace(status_code=self.status, headers=headers), "body"


@pytest.mark.parametrize(("status", "error"), [(200, None), (302, None), (404, True), (503, True), (0, True)])
def test_a_request_is_a_client_span(recorder: Recorder, status: int, error: bool | None) -> None:
    send = Sent(status)
    profiler.init(KEY)
    try:
        response, body = novaclient.traced(send)(f"http://u:p@api:8774/v2.1/servers/{UUID}?all=1", "GET", headers={})
        assert (response.status_code, body) == (status, "body")
    except ConnectionError:
        assert not status
    profiler.clean()
    (span,) = recorder.finished
    tags = dict(span.own_tags)
    assert span.operation_name == "nova GET /servers/{id}"
    assert tags["http.url"] == f"http://api:8774/v2.1/servers/{UUID}"
    assert tags.get("http.status_code") == (status or None)
    assert tags.get("request_id") == ("req-1" if status else None)
    assert tags.get("error") == error
    assert send.headers[0]["uber-trace-id"].split(":")[1] == format(span.span_id, "016x")


def test_an_untraced_request_is_sent_as_it_is(recorder: Recorder) -> None:
    send = Sent(200)
    assert novaclient.traced(send)("/servers", "GET")[1] == "body"
    assert send.headers == [{}]
    assert recorder.started == []
