# SPDX-License-Identifier: Apache-2.0
"""Headers made to do harm, sent to a real service over real HTTP: it answers as if they were not there."""

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from osprofiler._utils import signed_pack
from osprofiler.demo.cloud import Cloud
from osprofiler.drivers import base
from tests.e2e import clouds


def _pack(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _signed(content: dict[str, object], key: str) -> dict[str, str]:
    packed, mac = signed_pack(content, key)
    return {"X-Trace-Info": clouds.as_text(packed), "X-Trace-HMAC": clouds.as_text(mac)}


_DEEP = "[" * 3000 + "]" * 3000

HOSTILE: dict[str, dict[str, str]] = {
    "wrong key": _signed({"base_id": clouds.new_id(), "parent_id": clouds.new_id()}, "not the key"),
    "no mac": {"X-Trace-Info": _pack({"base_id": "a", "parent_id": "b"})},
    "mac alone": {"X-Trace-HMAC": "0" * 40},
    "empty": {"X-Trace-Info": "", "X-Trace-HMAC": ""},
    "not base64": {"X-Trace-Info": "%%%%", "X-Trace-HMAC": "zz"},
    "not ascii": {"X-Trace-Info": "\u00e9\u00ff", "X-Trace-HMAC": "\u00e9"},
    "deep": {"X-Trace-Info": base64.urlsafe_b64encode(_DEEP.encode()).decode(), "X-Trace-HMAC": "0" * 40},
    "large": {"X-Trace-Info": "A" * 50_000, "X-Trace-HMAC": "0" * 40},
    "newer, garbage": {"X-Trace-Context": "...."},
    "newer, forged": {"X-Trace-Context": f"{_pack({'v': 1, 'b': clouds.new_id(), 'f': 1})}.{'0' * 64}"},
    "newer, large": {"X-Trace-Context": "A" * 50_000},
    "jaeger, untrusted": {"uber-trace-id": "00000000000000010000000000000002:3:0:1"},
    "jaeger, garbage": {"uber-trace-id": "0x1:1_0:-1:ff:%00"},
    "w3c, untrusted": {"traceparent": "00-00000000000000010000000000000002-0000000000000003-01"},
    "w3c, garbage": {"traceparent": "ff-" + "0" * 32 + "-" + "0" * 16 + "-zz"},
    "b3, garbage": {"b3": "1-2-3-4-5-6", "X-B3-TraceId": "zz", "X-B3-SpanId": "-1"},
    "jaeger debug": {"jaeger-debug-id": "x" * 5000},
    "baggage": {f"uberctx-{number}": "y" * 500 for number in range(50)},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    store = f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'traces.db'}"
    with clouds.running(store) as running:
        yield running


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_as_good_as_none(cloud: Cloud, name: str) -> None:
    caller = clouds.Caller(cloud)
    server = caller.boot(HOSTILE[name])
    assert caller.status(server, HOSTILE[name]) in ("BUILD", "ACTIVE")
    caller.wait_built(server)


def test_valid_signature_over_nonsense(cloud: Cloud) -> None:
    caller = clouds.Caller(cloud)
    for content in ({}, {"base_id": None, "parent_id": []}, {"base_id": {"a": 1}, "parent_id": 7}, {"base_id": "a"}):
        caller.wait_built(caller.boot(_signed(content, cloud.key)))


def test_truncated_requests_do_not_stop_the_service(cloud: Cloud) -> None:
    at = urlsplit(cloud.urls["api"])
    whole = b"GET /servers/none HTTP/1.0\r\nX-Trace-Info: " + b"A" * 300 + b"\r\nX-Trace-HMAC: 00\r\n\r\n"
    for length in range(0, len(whole), 23):
        with socket.create_connection((at.hostname, at.port), timeout=30) as connection:
            connection.sendall(whole[:length])
    caller = clouds.Caller(cloud)
    caller.wait_built(caller.boot())


def test_nobody_without_a_key_has_made_a_trace(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    valid = clouds.new_id()
    with clouds.running(store) as cloud:
        caller = clouds.Caller(cloud)
        servers = [caller.boot(headers) for headers in HOSTILE.values()]
        servers.append(caller.boot(caller.signed(valid)))
        caller.wait_built(*servers)
        log = (cloud.folder / "api.log").read_text()
    assert [trace["base_id"] for trace in base.get_driver(store).list_traces()] == [valid]
    assert " ERROR " not in log
    assert "Traceback" not in log
