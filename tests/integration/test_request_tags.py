# SPDX-License-Identifier: Apache-2.0
"""From a request's id to its trace: a request goes through HTTP and RPC, and Jaeger and a store are searched for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
import webob
from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_middleware.request_id import RequestId

from osprofiler import config, messaging, notifier, profiler, web
from osprofiler.cmd import shell
from osprofiler.config import switches
from osprofiler.context import scope
from osprofiler.delivery.base import NullReporter
from osprofiler.tracer import global_tracer
from tests.servers import Jaeger
from tests.waiting import wait_until

KEY = "the secret key"
SERVER = str(uuid.uuid4())


class Compute:
    """An endpoint that gets what nova's serializer makes of an instance."""

    def reboot(self, context: Any, instance: Any) -> str:
        return str(instance["nova_object.data"]["uuid"])


@pytest.fixture
def rpc() -> Iterator[Any]:
    """A client of a server that runs."""
    cfg.CONF([], project="tests", default_config_files=[])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url="fake://")
    target = oslo_messaging.Target(topic=f"compute-{uuid.uuid4().hex}", server="host")
    messaging.instrument()
    server = oslo_messaging.get_rpc_server(transport, target, [Compute()], executor="threading")
    server.start()
    yield oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=target.topic))
    server.stop()
    server.wait()
    transport.cleanup()
    messaging.uninstrument()


@pytest.fixture(params=["jaeger", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The connection string that the process's traces go to."""
    switches.reset()
    in_jaeger = request.param == "jaeger"
    url = request.getfixturevalue("jaeger").url if in_jaeger else f"sqlite:///{tmp_path / 'traces.db'}"
    config.publish(enabled=True, hmac_keys=(KEY,))
    notifier.set(notifier.create(url, project="tags", service=f"api-{uuid.uuid4().hex[:8]}", host="h"))
    with scope.entered(None):
        yield url
    notifier.set(notifier._noop_notifier)
    notifier.clear_notifier_cache()
    global_tracer.get_tracer().report_to(NullReporter())
    config.reset()
    switches.reset()


def api(rpc: Any) -> Any:
    """An API whose request id stands in front of the profiler, as nova's does; it calls a compute service."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["HTTP_X_USER_ID"] = "user-1"  # as keystonemiddleware does
        context = RequestContext.from_environ(environ, request_id=environ["openstack.request_id"])
        instance = {"nova_object.name": "Instance", "nova_object.data": {"uuid": SERVER}}
        done = rpc.prepare(server="host").call(context.to_dict(), "reboot", instance=instance)
        start_response("202 Accepted", [("Content-Type", "text/plain")])
        return [done.encode()]

    return RequestId(web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True))


def test_a_request_id_leads_to_the_trace(rpc: Any, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    profiler.init(KEY)
    request = webob.Request.blank(f"/v2.1/servers/{SERVER}/action", method="POST")
    request.headers.update(web.get_trace_id_headers())
    here = profiler.get()
    assert here is not None
    base_id = here.get_base_id()
    profiler.clean()
    answer = request.get_response(api(rpc))
    assert (answer.status_int, answer.text) == (202, SERVER)
    assert answer.headers["X-Trace-Id"] == base_id.replace("-", "")
    assert global_tracer.flush(30)

    def listed(*tags: str) -> list[str]:
        words = [word for tag in tags for word in ("--tag", tag)]
        assert shell.main(["trace", "list", "--json", "--connection-string", store, *words]) == 0
        return [each["base_id"] for each in json.loads(capsys.readouterr().out)]

    request_id = f"openstack.request_id={answer.headers['x-openstack-request-id']}"
    wait_until(lambda: listed(request_id) == [base_id] or pytest.fail("not there"), what="the trace")
    by_kind = {
        kind: listed(request_id, f"openstack.server_id={SERVER}", "openstack.user_id=user-1", f"component={kind}")
        for kind in ("wsgi", "oslo.messaging", "python-requests")
    }
    assert by_kind == {"wsgi": [base_id], "oslo.messaging": [base_id], "python-requests": []}
    assert listed("openstack.request_id=req-of-another") == []


@pytest.mark.parametrize("store", ["jaeger"], indirect=True)
def test_jaegers_own_search_finds_it_by_each_tag(rpc: Any, store: str, jaeger: Jaeger) -> None:
    profiler.init(KEY)
    request = webob.Request.blank(f"/v2.1/servers/{SERVER}/action", method="POST")
    request.headers.update(web.get_trace_id_headers())
    profiler.clean()
    answer = request.get_response(api(rpc))
    trace_id, service = answer.headers["X-Trace-Id"], global_tracer.get_tracer().service_name
    assert global_tracer.flush(30)
    jaeger.wait_for_trace(trace_id, 3)

    def trace_ids(**tags: str) -> list[str]:
        return [trace["traceID"] for trace in jaeger.traces(service, tags=json.dumps(tags))]

    for tags in (
        {"openstack.request_id": answer.headers["x-openstack-request-id"]},
        {"openstack.server_id": SERVER, "openstack.user_id": "user-1"},
    ):
        assert trace_ids(**tags) == [trace_id], tags
    assert trace_ids(**{"openstack.request_id": "req-of-another"}) == []
