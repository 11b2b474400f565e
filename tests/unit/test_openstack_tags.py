# SPDX-License-Identifier: Apache-2.0
"""Tags of server spans that say what a request is in OpenStack, with the real middleware of oslo and keystone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import webob
from keystonemiddleware.auth_token import AuthProtocol
from oslo_context.context import RequestContext
from oslo_middleware.request_id import RequestId

from osprofiler import web
from osprofiler._utils import signed_pack
from osprofiler.config import switches
from osprofiler.context.identity import NOBODY, Identity
from osprofiler.handlers import openstack
from osprofiler.handlers.openstack import of_arguments, of_context, of_path
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "SECRET"
BASE = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11"
SERVER, VOLUME = "0f3c5a1e-7f0e-4c54-a3a5-0c4a1e2d3b4c", "9c6f0f57-3b52-4a0e-8e5c-5f6a7b8c9d0e"
GLOBAL = "req-3d1b8a52-2a55-4f0f-8c5a-6b7c8d9e0f10"


@pytest.fixture(autouse=True)
def _as_imported() -> Iterator[None]:
    switches.reset()
    yield
    switches.reset()


def nova_like(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"servers"]


class Keystone(AuthProtocol):
    """keystonemiddleware with one known token; what it asks keystone for is the only thing replaced."""

    def fetch_token(self, token: str, **_: Any) -> Any:
        domain = {"id": "default", "name": "Default"}
        return {
            "token": {
                "methods": ["password"],
                "user": {"id": "user-of-the-token", "name": "u", "domain": domain},
                "project": {"id": "project-of-the-token", "name": "p", "domain": domain},
                "roles": [{"id": "r", "name": "member"}],
                "issued_at": "2026-11-29T00:00:00.000000Z",
                "expires_at": "2099-01-01T00:00:00.000000Z",
            }
        }


def ask(app: Any, path: str, **headers: str) -> webob.Response:
    info, signature = signed_pack({"base_id": BASE, "parent_id": BASE}, KEY)
    request = webob.Request.blank(path)
    request.headers.update({"X-Trace-Info": info.decode(), "X-Trace-HMAC": signature or "", **headers})
    return request.get_response(app)


def traced(app: Any) -> web.WsgiMiddleware:
    return web.WsgiMiddleware(app, hmac_keys=KEY, enabled=True)


def openstack_tags(span: Any) -> dict[str, Any]:
    return {name: value for name, value in span.own_tags.items() if name.startswith("openstack.")}


# HTTP


@pytest.mark.parametrize("order", ["request id first", "osprofiler first"])
def test_what_the_pipeline_learns_after_us_is_in_our_span(spans: Recorder, order: str) -> None:  # noqa: F811
    """As in nova's pipeline, or with our filter before all others; a client's own X-User-Id counts nothing."""
    app = Keystone(nova_like, {"www_authenticate_uri": "http://keystone"})
    app = RequestId(traced(app)) if order == "request id first" else traced(RequestId(app))
    answer = ask(
        app,
        f"/v2.1/servers/{SERVER}/action",
        **{"X-Auth-Token": "t", "X-User-Id": "forged", "X-OpenStack-Request-ID": GLOBAL},
    )
    assert answer.status_int == 200
    assert openstack_tags(spans.by_name("wsgi")) == {
        "openstack.server_id": SERVER,
        "openstack.request_id": answer.headers["x-openstack-request-id"],
        "openstack.global_request_id": GLOBAL,
        "openstack.user_id": "user-of-the-token",
        "openstack.project_id": "project-of-the-token",
    }


def test_a_request_id_that_only_the_answer_has(spans: Recorder) -> None:  # noqa: F811
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("X-Openstack-Request-Id", "tx-of-swift")])
        return [b""]

    ask(traced(app), "/")
    assert openstack_tags(spans.by_name("wsgi")) == {"openstack.request_id": "tx-of-swift"}


def test_a_request_that_was_refused_has_its_id(spans: Recorder) -> None:  # noqa: F811
    app = traced(RequestId(Keystone(nova_like, {"www_authenticate_uri": "http://keystone"})))
    answer = ask(app, "/v2.1/servers")
    assert answer.status_int == 401
    assert list(openstack_tags(spans.by_name("wsgi"))) == ["openstack.request_id"]


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        (f"/v2.1/servers/{SERVER}", {"server": SERVER}),
        (f"/v2.1/servers/{SERVER.upper()}.json", {"server": SERVER}),
        (f"/v2.1/servers/{SERVER}/os-volume_attachments/{VOLUME}", {"server": SERVER, "volume": VOLUME}),
        (f"/v2/servers/{SERVER}/servers/{VOLUME}", {"server": SERVER}),
        (f"/v3/0123456789abcdef0123456789abcdef/volumes/{VOLUME}/action", {"volume": VOLUME}),
        (f"/v2.0/floatingips/{SERVER}", {"floating_ip": SERVER}),
        (f"/allocations/{SERVER}", {"consumer": SERVER}),
        (f"/v2.1/made-up/{SERVER}", {}),
        (f"/v2.1/servers/{SERVER}0", {}),
        ("/v2.1/servers/detail", {}),
        ("/servers/", {}),
        ("", {}),
    ],
)
def test_the_resources_in_a_path(path: str, tags: dict[str, str]) -> None:
    assert of_path(path) == {f"openstack.{kind}_id": value for kind, value in tags.items()}


# RPC


def test_a_context_of_oslo() -> None:
    context = RequestContext(user_id="u", project_id="p", domain_id="d", global_request_id=GLOBAL)
    assert of_context(context.to_dict()) == {
        "openstack.request_id": context.request_id,
        "openstack.global_request_id": GLOBAL,
        "openstack.user_id": "u",
        "openstack.project_id": "p",
        "openstack.domain_id": "d",
    }
    assert re.fullmatch("req-[0-9a-f-]{36}", str(context.request_id))


@pytest.mark.parametrize(
    ("context", "tags"),
    [
        ({}, {}),
        ({"user": "old", "tenant": "older"}, {"openstack.user_id": "old", "openstack.project_id": "older"}),
        ({"user_id": "new", "user": "old"}, {"openstack.user_id": "new"}),
        ({"request_id": None, "user_id": 5, "project_id": ["p"], "domain": {}}, {}),
        ({"request_id": "x" * 256, "user_id": ""}, {}),
    ],
)
def test_contexts_of_any_shape(context: dict[str, Any], tags: dict[str, str]) -> None:
    assert of_context(context) == tags


def an_object(name: str, namespace: str = "nova_object", **data: Any) -> dict[str, Any]:
    return {f"{namespace}.name": name, f"{namespace}.version": "1.0", f"{namespace}.data": data}


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ({"instance_uuid": SERVER, "volume_id": VOLUME}, {"server": SERVER, "volume": VOLUME}),
        ({"instance": an_object("Instance", id=7, uuid=SERVER)}, {"server": SERVER}),
        ({"objinst": an_object("Instance", uuid=SERVER), "objmethod": "save"}, {"server": SERVER}),
        ({"volume": an_object("Volume", "versioned_object", id=VOLUME)}, {"volume": VOLUME}),
        ({"objinst": an_object("BlockDeviceMapping", uuid=VOLUME, instance_uuid=SERVER)}, {"server": SERVER}),
        ({"build_requests": [an_object("BuildRequest", id=1, instance_uuid=SERVER)]}, {"server": SERVER}),
        ({"instance_uuids": [SERVER], "instances": [an_object("Instance", uuid=SERVER)]}, {"server": SERVER}),
        ({"instance_uuids": [SERVER, VOLUME], "volume_ids": [], "x": [[SERVER]]}, {}),
        ({"instance_id": 7, "image": {"id": VOLUME}, "volume": "a name"}, {}),
        ({"node": an_object("Node", uuid=5), "x": an_object("Unknown", uuid=SERVER)}, {}),
        ({"volume": {"nova_object.name": "Volume"}, 5: SERVER, "server": SERVER}, {"server": SERVER}),
        ({f"a{i}": i for i in range(100)} | {"server_id": SERVER}, {}),
        ([SERVER], {}),
        (None, {}),
    ],
)
def test_the_resources_in_arguments(arguments: Any, kinds: dict[str, str]) -> None:
    assert of_arguments(arguments) == {f"openstack.{kind}_id": value for kind, value in kinds.items()}


def test_a_kind_of_an_argument_is_one_of_a_path() -> None:
    kinds = set(openstack._COLLECTIONS.values())
    assert set(openstack._ARGUMENTS.values()) == kinds


# Who sends a request


@pytest.mark.parametrize(
    ("environ", "identity"),
    [
        ({}, None),
        ({"HTTP_X_USER_ID": "1", "HTTP_KEYSTONE_TOKEN_INFO": "x"}, None),
        ({"keystone.token_info": {}}, None),
        ({"keystone.token_info": {}, "HTTP_X_USER_ID": "1"}, Identity(user=("1",))),
        (
            {
                "external.token_info": {},
                "HTTP_X_USER_ID": "1",
                "HTTP_X_USER_NAME": "alice",
                "HTTP_X_PROJECT_ID": "2",
                "HTTP_X_PROJECT_NAME": None,
                "HTTP_X_ROLES": "admin, member",
            },
            Identity(("2",), ("1", "alice"), ("admin", "member")),
        ),
    ],
)
def test_the_sender_of_a_web_request_is_known_once_keystonemiddleware_says_it(
    environ: dict[str, Any], identity: Identity | None
) -> None:
    assert openstack.identity_of_environ(environ) == identity


@pytest.mark.parametrize(
    ("context", "identity"),
    [
        ({}, NOBODY),
        ({"user": None, "roles": None, "project_id": 7}, NOBODY),
        ({"user": "1", "tenant": "2", "roles": ["admin", None]}, Identity(("2",), ("1",), ("admin",))),
        ({"user_id": "1", "user_name": "alice", "project_name": "blue"}, Identity(("blue",), ("1", "alice"))),
    ],
)
def test_the_sender_of_a_message_is_in_its_context(context: dict[str, Any], identity: Identity) -> None:
    assert openstack.identity_of_context(context) == identity
