# SPDX-License-Identifier: Apache-2.0
"""keystone, placement, glance and zaqar as they were released, with this osprofiler in the place of stock's: each
request that asks for a trace gets a whole one, with the points and libraries of the service's profile, and nothing of
another is in it, on native threads that are reused.

They set tracing up in four ways of their own: keystone in code, as a stevedore middleware; placement in code with the
whole configuration as keywords of the factory; glance by Paste; zaqar by the middleware's older arguments and by
``trace_cls`` on its drivers' objects.
"""

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import conftest, released
from tests.servers import Jaeger, MariaDB, Redis
from tests.services import running, setups
from tests.services.running import Api, Place, Service

pytestmark = pytest.mark.slow

#: Spans that depend on the requests which are answered at the same time.
OF_THE_POOL = {"db CONNECT", "db WAIT"}


class Request(NamedTuple):
    """One request, and what its trace then has in it beside the request's own point."""

    method: str
    path: str
    body: Any
    status: int
    operations: set[str]
    route: str | None  # the tag ``http.route``; None: the framework does not tell it


# The points of its profile that the request for a token passes.
KEYSTONE_POINTS = {
    f"keystone.{name}"
    for name in (
        "auth.plugins.password.Password.authenticate",
        "federation.backends.sql.Federation.get_enabled_service_providers",
        "identity.backends.sql.Identity.authenticate",
        "identity.backends.sql.Identity.get_user",
        "identity.backends.sql.Identity.get_user_by_name",
        "identity.shadow_backends.sql.ShadowUsers.get_federated_objects",
        "identity.shadow_backends.sql.ShadowUsers.get_user",
        "identity.shadow_backends.sql.ShadowUsers.set_last_active_at",
        "resource.backends.sql.Resource.get_project",
        "token.provider.Manager.issue_token",
        "token.providers.fernet.core.Provider.generate_id_and_issued_at",
    )
}


USER = {"name": "admin", "domain": {"id": "default"}, "password": setups.PASSWORD}
LOGIN = {"auth": {"identity": {"methods": ["password"], "password": {"user": USER}}}}
IMAGE = {"name": "tiny", "owner": "p", "container_format": "bare", "disk_format": "raw"}
MESSAGE = {"messages": [{"body": "hello", "ttl": 300}]}
GLANCE_DATABASE = "glance.db.sqlalchemy.api"
QUEUES = "zaqar.storage.sqlalchemy.queues.QueueController"
MESSAGES = "zaqar.storage.redis.messages.MessageController"
ZAQAR_DRIVER = "zaqar.storage.sqlalchemy.driver.ControlDriver"
ASKED_FIRST = {f"{QUEUES}.get_metadata", f"{ZAQAR_DRIVER}.fetch_one", "db ROLLBACK", "db SELECT"}

REQUESTS: dict[Callable[[Place], Service], list[Request]] = {
    setups.keystone: [
        Request("GET", "/v3", None, 200, set(), "/v3"),
        Request("POST", "/v3/auth/tokens", LOGIN, 201,
                {"db COMMIT", "db ROLLBACK", "db SELECT", *KEYSTONE_POINTS}, "/v3/auth/tokens"),
    ],
    setups.placement: [
        Request("GET", "/resource_providers", None, 200,
                {"placement.objects.resource_provider.get_all_by_filters", "db ROLLBACK", "db SELECT"}, None),
        Request("GET", "/usages?project_id=p", None, 200,
                {"placement.objects.usage.get_all_by_project_user", "db ROLLBACK", "db SELECT"}, None),
    ],
    setups.glance: [
        Request("GET", "/v2/images?limit=1", None, 200,
                {"db ROLLBACK", "db SELECT", f"{GLANCE_DATABASE}.image_get_all"}, "/v2/images"),
        Request("POST", "/v2/images", IMAGE, 201,
                {"db COMMIT", "db INSERT", "db ROLLBACK", "db SELECT", f"{GLANCE_DATABASE}.image_create",
                 f"{GLANCE_DATABASE}.image_tag_set_all"}, "/v2/images"),
    ],
    setups.cinder: [
        Request("GET", f"/v3/{setups.PROJECT}/volumes/detail", None, 200,
                {"cinder.volume.api.API.check_volume_filters", "cinder.volume.api.API.get_all",
                 "cinder.db.api.volume_get_all_by_project", "db ROLLBACK", "db SELECT"},
                "/v3/{project_id}/volumes/detail"),
        Request("GET", f"/v3/{setups.PROJECT}/types", None, 200,
                {"cinder.db.api.volume_type_get_all", "db ROLLBACK", "db SELECT"}, "/v3/{project_id}/types"),
    ],
    setups.zaqar: [
        Request("PUT", "/v2/queues/one", None, 204,
                {f"{QUEUES}.create", f"{ZAQAR_DRIVER}.run", "db INSERT", "db ROLLBACK", "redis MULTI"},
                "/v2/queues/{queue_name}"),
        Request("POST", "/v2/queues/one/messages", MESSAGE, 201,
                {f"{MESSAGES}.post", *ASKED_FIRST, "redis EVALSHA", "redis MULTI"},
                "/v2/queues/{queue_name}/messages"),
        Request("GET", "/v2/queues/one/messages?limit=1", None, 200,
                {f"{QUEUES}.exists", f"{MESSAGES}.list", *ASKED_FIRST,
                 "redis HMGET", "redis MULTI", "redis ZRANGE", "redis ZRANK"},
                "/v2/queues/{queue_name}/messages"),
    ],
}  # fmt: skip


def ask(api: Api, request: Request, base: str | None = None) -> str | None:
    """Send one request, in the trace *base* if there is one; the id that the service gave it, if it says so.

    The answer names the trace where there is one, and only there.
    """
    sent = running.Request(request.method, request.path, request.body, (request.status, 201))
    headers = api.ask(sent, base).headers
    assert headers.get("x-trace-id") == (base and [base.replace("-", "")])
    assert len(headers.get("traceresponse", [])) == (1 if base else 0)
    return headers.get("x-openstack-request-id", [None])[0]


@pytest.mark.parametrize("setup", REQUESTS, ids=lambda setup: setup.__name__)
def test_each_request_has_a_whole_trace_of_its_own(
    setup: Callable[[Place], Service], tmp_path: Path, mariadb: MariaDB, redis: Redis, jaeger: Jaeger
) -> None:
    programs = conftest.made(released.python if setup is setups.cinder else released.apis).parent
    at = Place(programs, tmp_path, mariadb.fresh_url(), store=redis.fresh_url())
    service, requests = setup(at)._replace(workers=()), REQUESTS[setup]
    running.prepare(at, service, connection_string=jaeger.url, trace_sqlalchemy="true")
    bases = {str(uuid.uuid4()): request for _ in range(10) for request in requests}
    with running.running(at, service) as api:
        for request in requests:  # the first of a kind does more than those after it
            ask(api, request)

        request_ids: dict[str, str | None] = {}

        def traced_and_untraced(base: str) -> None:
            request_ids[base] = ask(api, bases[base], base)
            ask(api, bases[base])

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(traced_and_untraced, bases))
    assert api.left_over == [False, False]

    seen: dict[str, Counter[str]] = {}
    for base, request in bases.items():
        spans = jaeger.wait_for_trace(base.replace("-", ""), 1 + len(request.operations))["spans"]
        ids = {span["spanID"] for span in spans}
        (first,) = [span for span in spans if not span["references"]]
        assert first["operationName"] == f"wsgi {request.method}"
        tags = {tag["key"]: tag["value"] for tag in first["tags"]}
        assert tags.get("http.route") == request.route
        assert tags.get("openstack.request_id") == request_ids[base]
        assert tags.get("openstack.project_id") == service.headers.get("X-Project-ID")
        assert all(reference["spanID"] in ids for span in spans for reference in span["references"])
        operations = Counter(span["operationName"] for span in spans if span["operationName"] not in OF_THE_POOL)
        assert operations.keys() == {f"wsgi {request.method}", *request.operations}
        assert seen.setdefault(request.path, operations) == operations
    of_the_service = jaeger.traces(service.name)
    assert {trace["traceID"] for trace in of_the_service} == {base.replace("-", "") for base in bases}
