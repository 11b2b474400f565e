# SPDX-License-Identifier: Apache-2.0
"""Requests of novaclient, which keystoneauth's adapter sends: a point is named by the called service."""

import http.server
import threading
from typing import Any

import pytest
from keystoneauth1.adapter import LegacyJsonAdapter
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token

from osprofiler import novaclient, profiler
from tests.unit.span_kit import Recorder, spans  # noqa: F401

IMAGE = "0c5d9a54-1f0e-4f0a-9f3e-0d6f4f0c2a11"


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("service_type", "service"),
    [
        ("compute", "nova"),
        ("image", "glance"),
        ("network", "neutron"),
        ("volumev3", "cinder"),
        ("object-store", "object-store"),
        (None, "nova"),
    ],
)
def test_a_request_is_named_by_the_service_that_is_asked(
    service_type: str | None,
    service: str,
    spans: Recorder,  # noqa: F811
) -> None:
    profiler.init("a key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        adapter = LegacyJsonAdapter(Session(Token(url, "t")), service_type="compute")
        adapter.service_type = service_type  # novaclient's managers of images and networks do the same
        with profiler.Trace("command"):
            novaclient.traced(adapter.request)(f"{url}/v2/images/{IMAGE}", "GET", headers={})
        server.shutdown()
    profiler.clean()
    request = spans.by_name("novaclient")
    assert request.operation_name == f"{service} GET /images/{{id}}"
    assert request.own_tags["peer.service"] == service
