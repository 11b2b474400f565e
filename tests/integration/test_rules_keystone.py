# SPDX-License-Identifier: Apache-2.0
"""Rules on real requests: over HTTP, through keystonemiddleware's auth_token, which asks a keystone for each token."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from keystonemiddleware import auth_token
from oslo_config import cfg

from osprofiler import config, profiler, web
from osprofiler.config import switches
from osprofiler.context import scope
from osprofiler.propagation import signed
from tests.unit.core_kit import SpanKeeper, kept_spans, rules_in_force

KEY = "the key of the cloud"

#: The tokens of users: project and roles.
USERS = {"alice": ("blue", ["member"]), "bob": ("blue", ["member", "admin"]), "carol": ("red", ["reader"])}


class Keystone(BaseHTTPRequestHandler):
    """The part of keystone's API v3 that auth_token uses: discovery, its own token, and the validation of a token.

    A token is the name of its user.
    """

    validations: list[str] = []  # noqa: RUF012 - the signed context of each validation

    def do_GET(self) -> None:
        name = self.headers.get("X-Subject-Token")
        if name is None:
            self._answer(
                200, {"versions": {"values": [self._version()]}} if self.path == "/" else {"version": self._version()}
            )
            return
        self.validations.append(self.headers.get(signed.HEADER, ""))
        if name in USERS:
            self._answer(200, {"token": _token(name, *USERS[name])})
        else:
            self._answer(404, {"error": {"code": 404, "message": "unknown token", "title": "Not Found"}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        token = _token("service", "service", ["service"])
        url = f"http://{self.headers['Host']}/v3"
        endpoints = [{"interface": name, "region": "one", "url": url, "id": name} for name in ("internal", "admin")]
        token["catalog"] = [{"type": "identity", "name": "keystone", "id": "identity", "endpoints": endpoints}]
        self._answer(201, {"token": token}, {"X-Subject-Token": "service"})

    def _version(self) -> dict[str, Any]:
        links = [{"rel": "self", "href": f"http://{self.headers['Host']}/v3/"}]
        return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links}

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


def _token(user: str, project: str, roles: list[str]) -> dict[str, Any]:
    domain = {"id": "default", "name": "Default"}
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return {
        "methods": ["password"],
        "user": {"id": f"id-of-{user}", "name": user, "domain": domain},
        "project": {"id": f"id-of-{project}", "name": project, "domain": domain},
        "roles": [{"id": f"id-of-{role}", "name": role} for role in roles],
        "issued_at": "2026-11-29T00:00:00.000000Z",
        "expires_at": f"{expires:%Y-%m-%dT%H:%M:%S.000000Z}",
    }


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Be quiet."""


def application(environ: Any, start_response: Any) -> Iterable[bytes]:
    with profiler.Trace("work"):
        start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]


@contextlib.contextmanager
def serving(server: Any) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Ask = Callable[..., int]


@pytest.fixture
def ask(osprofiler_process: None) -> Iterator[Ask]:
    """A function that sends one request to the API and returns the status of the answer."""
    Keystone.validations = []
    switches.reset()
    web.enable(KEY)
    config.publish(enabled=True, hmac_keys=(KEY,))
    own = cfg.ConfigOpts()  # the middleware gives required options to the global one, which other tests read
    own([])
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Keystone)) as keystone:
        options = {
            "oslo_config_config": own,
            "auth_type": "password",
            "auth_url": f"http://127.0.0.1:{keystone}/v3",
            "www_authenticate_uri": f"http://127.0.0.1:{keystone}",
            "username": "service",
            "password": "secret",
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
            "service_token_roles_required": "True",
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = web.WsgiMiddleware(auth_token.AuthProtocol(application, options))
        with serving(make_server("127.0.0.1", 0, pipeline, handler_class=Quiet)) as api:

            def send(user: str | None, path: str = "/v2.1/servers", method: str = "GET", **headers: str) -> int:
                connection = http.client.HTTPConnection("127.0.0.1", api, timeout=60)
                if user is not None:
                    headers["X-Auth-Token"] = user
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                connection.close()
                return answer.status

            yield send
    switches.reset()


@pytest.fixture
def spans() -> Iterator[SpanKeeper]:
    with kept_spans() as keeper:
        yield keeper


def reasons(spans: SpanKeeper) -> list[str | None]:
    """The reason of each trace, oldest first; the spans of a trace must all be there."""
    by_trace: dict[int, list[Any]] = {}
    for span in spans.finished:
        by_trace.setdefault(span.trace_id, []).append(span)
    assert all({span.name for span in each} >= {"wsgi", "work"} for each in by_trace.values())
    roots = [span for span in spans.finished if span.name == "wsgi"]
    assert len(roots) == len(by_trace)
    return [span.own_tags.get("sampling.rule") for span in roots]


@pytest.mark.parametrize(
    ("condition", "matching", "other"),
    [
        ("service: nova-*", {}, None),
        ("service: glance-*", None, {}),
        ("operation: wsgi GET", {}, {"method": "POST"}),
        ("method: [put, post]", {"method": "POST"}, {}),
        ("path: '/v2.1/servers/{id}'", {"path": "/v2.1/servers/7"}, {}),
        ("path: /v2.1/**", {}, {"path": "/v2"}),
        ('header: {X-Debug: "y*"}', {"X-Debug": "yes"}, {"X-Debug": "no"}),
        ("network: 127.0.0.0/8", {}, None),
        ("network: [10.0.0.0/8, '2001:db8::/32']", None, {}),
        ("user: alice", {"user": "alice"}, {"user": "bob"}),
        ("user: id-of-bob", {"user": "bob"}, {"user": "alice"}),
        ("project: blue", {"user": "alice"}, {"user": "carol"}),
        ("project: id-of-red", {"user": "carol"}, {"user": "alice"}),
        ("role: admin", {"user": "bob"}, {"user": "carol"}),
        ("{role: member, user: a*, path: /v2.1/**}", {"user": "alice"}, {"user": "bob"}),
    ],
)
def test_each_kind_of_rule(
    ask: Ask, spans: SpanKeeper, condition: str, matching: dict[str, str] | None, other: dict[str, str] | None
) -> None:
    inner = condition.strip("{}") if condition.startswith("{role") else condition
    with rules_in_force(f"rules: [{{{inner}, sample: 'const:1', reason: because}}]"):
        if other is not None:
            assert ask(**{"user": "alice", **other}) == 200
            assert spans.finished == []
        if matching is not None:
            assert ask(**{"user": "alice", **matching}) == 200
            assert reasons(spans) == ["because"]


def test_a_rule_with_a_key_limits_those_who_ask_with_it(ask: Ask, spans: SpanKeeper) -> None:
    def asking(key: str) -> dict[str, str]:
        with scope.entered(None):
            profiler.init(key)
            headers = web.get_trace_id_headers()
            profiler.clean()
        return {name: value for name, value in headers.items() if name.startswith("X-")}

    rules = f"rules: [{{key: {signed.key_id(KEY)}, user: alice, sample: 'const:0', reason: enough}}]"
    with rules_in_force(rules):
        assert [ask(user, **asking(KEY)) for user in ("alice", "bob", "alice")] == [200, 200, 200]
        assert reasons(spans) == [None]


def test_keystone_is_told_no_while_it_is_open_who_asks(ask: Ask, spans: SpanKeeper) -> None:
    with rules_in_force("rules: [{user: alice, sample: 'const:1', reason: alice}]"):
        assert [ask(user) for user in ("alice", "bob", "carol")] == [200, 200, 200]
    assert reasons(spans) == ["alice"]
    told = [signed.decode(text, [KEY]) for text in Keystone.validations]
    assert len(told) == 3
    assert [each is not None and each.context.sampled for each in told] == [False, False, False]


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "forged"}])
def test_a_client_without_a_valid_token_is_nobody(ask: Ask, spans: SpanKeeper, headers: dict[str, str]) -> None:
    forged = {"X-User-Name": "alice", "X-User-Id": "id-of-alice", "X-Roles": "admin", "X-Identity-Status": "Confirmed"}
    with rules_in_force(
        "rules: [{user: alice, sample: 'const:1', reason: a}, {role: admin, sample: 'const:1', reason: b}]"
    ):
        assert ask(None, **headers, **forged) == 401
    assert spans.finished == []


def test_a_rule_that_ends_ends(ask: Ask, spans: SpanKeeper) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)
    text = (
        f"rules: [{{reason: over, until: '{begin:%Y-%m-%dT%H:%MZ}', sample: 'const:1'}}, "
        f"{{reason: lasts, until: '{end:%Y-%m-%dT%H:%MZ}', user: alice, sample: 'const:1'}}]"
    )
    with rules_in_force(text):
        assert (ask("alice"), ask("bob")) == (200, 200)
    assert reasons(spans) == ["lasts"]


#: For each rule: its rate, and what the requests look like that it is for.
RATES = {
    "images": (0.1, {"path": "/v2/images/1"}),
    "posts": (0.5, {"method": "POST"}),
    "alice": (0.2, {"user": "alice"}),
    "admins": (0.7, {"user": "bob"}),
    "red": (0.05, {"user": "carol"}),
}
RULES = """
rules:
- {reason: images, path: "/v2/images/{id}", sample: "probabilistic:0.1"}
- {reason: posts, method: POST, sample: "probabilistic:0.5"}
- {reason: alice, user: alice, sample: "probabilistic:0.2"}
- {reason: admins, role: admin, sample: "probabilistic:0.7"}
- {reason: red, project: red, sample: "probabilistic:0.05"}
"""


@pytest.mark.parametrize("requests", [500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_each_rule_samples_at_its_own_rate(ask: Ask, spans: SpanKeeper, requests: int) -> None:
    each = requests // len(RATES)
    with rules_in_force(RULES):
        for _ in range(each):
            for _, request in RATES.values():
                assert ask(**{"user": "carol", **request}) == 200
    kept = Counter(reasons(spans))
    assert set(kept) <= set(RATES)
    for reason, (rate, _) in RATES.items():
        deviations = (kept[reason] - each * rate) / (each * rate * (1 - rate)) ** 0.5
        print(f"{reason}: {kept[reason]} of {each}, {deviations:+.2f} standard deviations")
        # Chance exceeds five once in a million runs.
        assert abs(deviations) < 5
