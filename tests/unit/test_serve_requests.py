# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve``: who may ask, requests of any kind, and a store that fails."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import hypothesis
import pytest
from hypothesis import strategies as st

from osprofiler import exc
from osprofiler.drivers import base
from osprofiler.drivers.abilities import Can
from osprofiler.drivers.errors import StoreUnavailable
from osprofiler.serve.application import Application
from osprofiler.serve.gate import Gate, is_loopback
from osprofiler.serve.parameters import Parameters
from osprofiler.serve.store import Store
from osprofiler.testing.records import TRACE
from tests.unit.serve_kit import ALL, served, serving, trace, url
from tests.unit.wsgi_asking import ask

__all__ = ["served", "url"]

_KEY = "a key of many characters"


# Who may ask


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:16686", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:16686", 200),
        ("127.8.9.1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:16686", 403),
        ("10.0.0.1", 403),
        ("", 403),
        ("[::1", 403),
        ("evil@localhost:x", 200),  # the name is localhost's all the same
    ],
)
def test_a_name_of_another_host_is_refused(host: str, status: int, served: Application) -> None:
    """A page of another site may let its own name lead here, and read what its name answers."""
    assert ask(served, "/api/services", host=host).status == status


def test_with_credentials_the_host_may_have_any_name(url: str) -> None:
    base.get_driver(url).write(trace())
    account = base64.b64encode("me:sécret".encode()).decode()
    served = serving(url, Gate("me:sécret", _KEY))
    for right in (f"Basic {account}", f"basic {account}", f"Bearer {_KEY}"):
        assert ask(served, "/osprofiler/", host="traces.example", authorization=right).status == 200
    wrongs = (
        "",
        "Basic",
        "Basic !",
        "Basic /w==",
        f"Basic {base64.b64encode(b'me:').decode()}",
        "Bearer",
        "Bearer x",
        _KEY,
    )
    for wrong in (*wrongs, f"Bearer {_KEY} ", f"Digest {_KEY}"):
        response = ask(served, "/api/services", authorization=wrong)
        expected = 200 if wrong.strip() == f"Bearer {_KEY}" else 401
        assert response.status == expected, wrong
        assert _KEY not in response.text
    assert "Basic realm" in ask(served, "/").headers["www-authenticate"]


@pytest.mark.parametrize(("host", "expected"), [("::1", True), ("127.1.2.3", True), ("localhost", True)])
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "localhost.example.org"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/traces", "/api/archive/1", "/osprofiler/", "/"])
def test_nothing_can_be_changed(path: str, method: str, served: Application) -> None:
    response = ask(served, path, method)
    assert response.status == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_head_is_get_without_a_body(served: Application) -> None:
    get, head = (ask(served, "/api/services", method) for method in ("GET", "HEAD"))
    assert head.text == ""
    assert head.headers == get.headers
    assert int(head.headers["content-length"]) == len(get.text)


@pytest.mark.parametrize(
    "path", ["/", "/osprofiler/", f"/osprofiler/trace/{TRACE}", "/api/services", "/nothing", "/api/x"]
)
def test_every_answer_is_safe(path: str, served: Application) -> None:
    headers = ask(served, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert not any(name.startswith("access-control-") for name in headers)


# Any request


_NAMES = (
    "service operation start end minDuration maxDuration limit lookback tag tags traceID raw prettyPrint endTs "
    "query.startTimeMin query.startTimeMax query.serviceName query.searchDepth query.attributes query.durationMin"
)
_PATHS = (
    "/ /search /api/services /api/services/svc/operations /api/operations /api/traces /api/traces/ /api/dependencies "
    "/api/metrics/calls /api/metrics/latencies /api/metrics/minstep /api/v3/services /api/v3/operations "
    f"/api/v3/trace-summaries /api/v3/traces/1 /osprofiler/ /osprofiler/set /osprofiler/trace/{TRACE} "
    "/trace/ /static/ /osprofiler"
).split()
_VALUES = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.sampled_from(
        [
            "svc",
            "boot",
            "1h",
            "5ms",
            "-1s",
            "1.5h",
            "true",
            "2026-01-01T00:00:00Z",
            '{"a": "b"}',
            "[",
            "{}",
            "a:b",
            "a=b",
            TRACE,
        ]
    ),
    st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda each: st.lists(each, max_size=3)).map(
        json.dumps
    ),
    st.integers(100, 3_000).map(lambda depth: "[" * depth),
)


@hypothesis.given(
    path=st.sampled_from(_PATHS) | st.text(max_size=30).map(lambda text: f"/{quote(text)}"),
    query=st.lists(
        st.tuples(st.sampled_from([*_NAMES.split(), "spanKind", "quantile", "error"]) | st.text(max_size=5), _VALUES),
        max_size=5,
    ),
    tail=st.binary(max_size=6),
)
@hypothesis.settings(max_examples=150, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_no_request_breaks_it(path: str, query: list[tuple[str, str]], tail: bytes, served: Application) -> None:
    address = f"{path}{quote(tail)}?{urlencode(query, errors='surrogatepass')}"
    response = ask(served, address)
    assert response.status < 500 or response.status == 501, response.text
    if path.startswith("/api/v3/") and response.status >= 400 and not tail:
        assert response.json["error"]["httpCode"] == response.status
    elif path.startswith("/api/") and response.status >= 400 and not tail:
        assert response.json["data"] is None
        assert response.json["errors"][0]["code"] == response.status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"/api/services?x={'y' * 8_000}", 414),
        ("/api/services?" + "&".join(f"a{i}=b" for i in range(400)), 400),
        ("/%ff", 400),
        ("/a%00b", 400),
        ("/osprofiler/trace/nothing", 404),
        ("/osprofiler/set?service=nobody", 404),
        ("/osprofiler/?lookback=1y", 400),
        ("/osprofiler/?tag=x", 400),
        ("/osprofiler/?limit=0", 400),
        ("/api/traces?service=svc&limit=1501", 400),
        ("/api/traces?service=svc&limit=0", 400),
        ("/api/nothing", 404),
    ],
)
def test_a_bad_request_is_told_so(address: str, status: int, served: Application) -> None:
    assert ask(served, address).status == status


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("", 0),
        ("0", 0),
        ("5ns", 5),
        ("1.5s", 1_500_000_000),
        ("2h30m", 9_000_000_000_000),
        ("250µs", 250_000),
        ("250μs", 250_000),
        (".5ms", 500_000),
        ("1.s", 1_000_000_000),
        ("-3us", -3_000),
        ("+3us", 3_000),
    ],
)
def test_durations_of_go(text: str, ns: int) -> None:
    assert Parameters(urlencode({"d": text})).duration_ns("d") == ns


# A store that fails


class Away(base.Driver):
    """A driver of a store that is away until it is told otherwise."""

    can = frozenset({Can.LIST, Can.READ})
    fault: Exception | None = None

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        if self.fault:
            raise self.fault
        return []

    def get_report(self, base_id: str) -> dict[str, Any]:
        return {"children": self.list_traces()}


_SECRET_URL = "away://user:very-secret@host/"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (StoreUnavailable("cannot read away://host: refused"), 503),
        (ConnectionError("to away://user:very-secret@host/"), 503),
        (RuntimeError("very-secret"), 500),
        (RecursionError(), 500),
    ],
)
def test_a_store_that_is_away_is_one_line_and_comes_back(
    fault: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Away(_SECRET_URL)
    served = serving(lambda: driver)
    driver.fault = fault
    for address in ("/api/services", f"/api/traces?service=a&{ALL}", "/api/dependencies", f"/api/traces/{'1' * 32}"):
        response = ask(served, address)
        assert response.status == status
        assert response.json["errors"][0]["code"] == status
        assert "very-secret" not in response.text
    page = ask(served, "/osprofiler/")
    assert page.status == status
    assert page.text.count("\n") == 1
    assert "very-secret" not in page.text + caplog.text
    assert "Traceback" not in page.text + caplog.text
    driver.fault = None
    assert ask(served, "/api/services").json["data"] == []


def test_a_store_that_cannot_list_is_not_served() -> None:
    with pytest.raises(exc.CommandError, match="cannot list traces"):
        Store(lambda: base.get_driver("otlp://localhost"))
