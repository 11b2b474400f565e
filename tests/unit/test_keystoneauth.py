# SPDX-License-Identifier: Apache-2.0
"""Calls of keystoneauth's sessions: what is inside the span, and what it shows of retries and authentication."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from keystoneauth1 import exceptions
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session
from openstack.connection import Connection

from osprofiler import profiler, propagation
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import KEY
from tests.unit.span_kit import Recorder, spans  # noqa: F401

PASSWORD = "hUnTeR2"
TOKEN = "gAAAAABnTokenOfTheTest"


class Cloud(http.server.ThreadingHTTPServer):
    """A keystone that issues tokens, and a nova that sends *answers*, one each time, and then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: list[int] = []
        self.headers: list[tuple[str, dict[str, str]]] = []  # the path and the headers of each request

    def catalog(self) -> list[dict[str, Any]]:
        endpoint = {"interface": "public", "region": "r", "region_id": "r", "id": "e", "url": f"{self.url}/nova/v2.1"}
        return [{"type": "compute", "name": "nova", "id": "c", "endpoints": [endpoint]}]

    def session(self) -> Session:
        auth = Password(f"{self.url}/v3", username="u", password=PASSWORD, user_domain_id="d", project_id="p")
        return Session(auth)


class _Answering(http.server.BaseHTTPRequestHandler):
    server: Cloud

    def do_GET(self) -> None:
        self.server.headers.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path == "/nova/v2.1":
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1"}
            link = {"rel": "self", "href": f"{self.server.url}/nova/v2.1"}
            self._answer(200, {"version": {**version, "links": [link]}})
            return
        status = self.server.answers.pop(0) if self.server.answers else 200
        self._answer(status, {"servers": []}, {"Location": f"{self.server.url}/nova/v2.1/moved"})

    def do_POST(self) -> None:
        self.server.headers.append((self.path, dict(self.headers)))
        self.rfile.read(int(self.headers["Content-Length"]))
        token = {
            "methods": ["password"],
            "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}},
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "issued_at": "2020-01-01T00:00:00.000000Z",
            "catalog": self.server.catalog(),
        }
        self._answer(201, {"token": token}, {"X-Subject-Token": TOKEN})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        shown = {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            "X-OpenStack-Request-Id": "req-1",
        }
        for name, value in {**shown, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        thread = threading.Thread(target=cloud.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield cloud
        cloud.shutdown()
        thread.join()


@pytest.fixture
def compute(cloud: Cloud, spans: Recorder) -> Iterator[Adapter]:  # noqa: F811
    """nova by a session that has a token, in a trace."""
    registry.instrument("keystoneauth")
    adapter = Adapter(cloud.session(), service_type="compute", status_code_retry_delay=0, connect_retry_delay=0)
    adapter.get("/servers")
    cloud.headers.clear()
    profiler.init(KEY)
    yield adapter
    profiler.clean()
    registry.uninstrument()


def operations(spans: Recorder) -> list[str]:  # noqa: F811
    return [span.operation_name for span in spans.finished]


def test_a_call_is_named_by_its_service_and_has_its_whole_url(
    cloud: Cloud,
    compute: Adapter,
    spans: Recorder,  # noqa: F811
) -> None:
    compute.get("/servers", params={"name": "x"})
    (span,) = spans.finished
    assert span.operation_name == "compute GET"
    assert span.own_tags["peer.service"] == "compute"
    assert span.own_tags["http.url"] == f"{cloud.url}/nova/v2.1/servers"
    assert span.own_tags["request_id"] == "req-1"
    assert "http.request.resend_count" not in span.own_tags


def test_the_service_continues_the_trace_under_the_call(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    compute.get("/servers")
    ((_, headers),) = cloud.headers
    incoming = propagation.read(headers, [KEY])
    assert incoming is not None
    assert incoming.origin.parent_id == spans.finished[0].point_id


def test_a_request_inside_is_a_child_and_passes_the_trace_on(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    registry.instrument("requests")
    cloud.answers = [503]
    compute.get("/servers", status_code_retries=1)
    assert spans.tree() == [("keystoneauth", None), ("http", "keystoneauth"), ("http", "keystoneauth")]
    parents = [propagation.read(headers, [KEY]).origin.parent_id for _, headers in cloud.headers]  # type: ignore[union-attr]
    assert parents == [span.point_id for span in spans.finished[:2]]


@pytest.mark.parametrize(("answers", "sent_again"), [([503], 1), ([503, 503], 2), ([302], 1), ([302, 503], 2)], ids=str)
def test_retries_and_redirects_are_counted(
    cloud: Cloud,
    compute: Adapter,
    spans: Recorder,  # noqa: F811
    answers: list[int],
    sent_again: int,
) -> None:
    cloud.answers = answers
    assert compute.get("/servers", status_code_retries=2).status_code == 200
    (span,) = spans.finished
    assert span.own_tags["http.request.resend_count"] == sent_again
    assert span.own_tags["http.status_code"] == 200
    assert span.own_tags["http.url"] == f"{cloud.url}/nova/v2.1/servers"


def test_the_token_is_inside_the_call_that_needs_it(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    compute.session.invalidate()
    compute.get("/servers")
    assert operations(spans) == ["keystoneauth POST", "compute GET"]
    token, call = spans.finished
    assert token.parent_span_id == call.span_id
    assert token.own_tags["http.url"] == f"{cloud.url}/v3/auth/tokens"


def test_an_authentication_that_is_repeated_is_seen(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    cloud.answers = [401]
    compute.get("/servers")
    assert operations(spans) == ["keystoneauth POST", "compute GET"]
    call = spans.finished[1]
    assert [(field.key, field.vStr) for log in call.logs for field in log.fields] == [("event", "reauthentication")]
    assert call.own_tags["http.request.resend_count"] == 1
    assert "error" not in call.own_tags


def test_a_refusal_has_its_status_and_its_exception(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    cloud.answers = [404]
    with pytest.raises(exceptions.NotFound):
        compute.get("/servers/1")
    (span,) = spans.finished
    assert span.own_tags["http.status_code"] == 404
    assert span.own_tags["error"] is True
    assert span.own_tags["http.url"] == f"{cloud.url}/nova/v2.1/servers/1"


def test_a_server_that_has_gone_is_an_error(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    with pytest.raises(exceptions.ConnectFailure):
        compute.get("http://127.0.0.1:1/servers", connect_retries=2)
    (span,) = spans.finished
    assert span.own_tags["error"] is True
    assert span.own_tags["http.request.resend_count"] == 2


def test_password_and_token_are_not_shown(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    cloud.answers = [401, 403]
    with pytest.raises(exceptions.Forbidden):
        compute.get("/servers", params={"token": TOKEN})
    shown = repr([(span.own_tags, [log.fields for log in span.logs]) for span in spans.finished])
    assert PASSWORD not in shown
    assert TOKEN not in shown


def test_openstacksdk_is_traced(cloud: Cloud, compute: Adapter, spans: Recorder) -> None:  # noqa: F811
    cloud_of_sdk = Connection(session=compute.session, region_name="r")
    with profiler.Trace("list"):
        assert list(cloud_of_sdk.compute.servers()) == []
    assert "compute GET" in operations(spans)
    assert {span.parent_span_id for span in spans.finished[:-1]} == {spans.by_name("list").span_id}
