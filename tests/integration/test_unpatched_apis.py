# SPDX-License-Identifier: Apache-2.0
"""keystone, placement, glance and zaqar as they were released, with this osprofiler in the place of stock's: each
request that asks for a trace gets a whole one, with the points and libraries of the service's profile, and nothing of
another is in it, on native threads that are reused.

They set tracing up in four ways of their own: keystone in code, as a stevedore middleware; placement in code with the
whole configuration as keywords of the factory; glance by Paste; zaqar by the middleware's older arguments and by
``trace_cls`` on its drivers' objects.
"""

import contextlib
import json
import os
import subprocess
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from osprofiler import _utils
from tests import conftest, environments, released
from tests.servers import Jaeger, MariaDB, Redis

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "programs" / "unpatched_api.py"
KEY = "a key of this test"
PASSWORD = "a password"

#: Spans that depend on the requests which are answered at the same time.
OF_THE_POOL = {"db CONNECT", "db WAIT"}


class Place(NamedTuple):
    """Where a service is set up."""

    programs: Path
    folder: Path
    database: str
    redis: str


class Request(NamedTuple):
    """One request, and what its trace then has in it beside the request's own point."""

    method: str
    path: str
    body: Any
    status: int
    operations: set[str]
    route: str | None  # the tag ``http.route``; None: the framework does not tell it


class Api(NamedTuple):
    """How a service is set up, and what is asked of it."""

    name: str  # as Jaeger knows it
    module: str
    variables: dict[str, str]  # that say where its configuration is: the folder it runs in
    file: str
    options: dict[str, dict[str, str]]
    commands: list[list[str]]  # that make its database
    headers: dict[str, str]
    requests: list[Request]


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


def keystone(at: Place) -> Api:
    user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
    login = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    manage = ["keystone-manage", "--config-file", "keystone.conf"]
    account = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    return Api(
        name="keystone-public",
        module="keystone.wsgi.api",
        variables={"OS_KEYSTONE_CONFIG_DIR": "."},
        file="keystone.conf",
        options={
            "database": {"connection": at.database},
            "fernet_tokens": {"key_repository": str(at.folder / "fernet")},
            "credential": {"key_repository": str(at.folder / "credential")},
        },
        commands=[
            [*manage, "db_sync"],
            [*manage, "fernet_setup", *account],
            [*manage, "credential_setup", *account],
            [*manage, "bootstrap", "--bootstrap-password", PASSWORD],
        ],
        headers={},
        requests=[
            Request("GET", "/v3", None, 200, set(), "/v3"),
            Request("POST", "/v3/auth/tokens", login, 201,
                    {"db COMMIT", "db ROLLBACK", "db SELECT", *KEYSTONE_POINTS}, "/v3/auth/tokens"),
        ],
    )  # fmt: skip


def placement(at: Place) -> Api:
    """It adds no tracing to its engine: the layer of SQLAlchemy does."""
    return Api(
        name="placement-placement",
        module="placement.wsgi.api",
        variables={"OS_PLACEMENT_CONFIG_DIR": "."},
        file="placement.conf",
        options={"placement_database": {"connection": at.database}, "api": {"auth_strategy": "noauth2"}},
        commands=[["placement-manage", "--config-file", "placement.conf", "db", "sync"]],
        headers={"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.9"},
        requests=[
            Request("GET", "/resource_providers", None, 200,
                    {"placement.objects.resource_provider.get_all_by_filters", "db ROLLBACK", "db SELECT"}, None),
            Request("GET", "/usages?project_id=p", None, 200,
                    {"placement.objects.usage.get_all_by_project_user", "db ROLLBACK", "db SELECT"}, None),
        ],
    )  # fmt: skip


def glance(at: Place) -> Api:
    def files(name: str) -> dict[str, str]:
        (at.folder / name).mkdir()
        return {"filesystem_store_datadir": str(at.folder / name)}

    (at.folder / "policy.yaml").write_text('{"get_images": "@", "get_image": "@", "add_image": "@"}')
    image = {"name": "tiny", "owner": "p", "container_format": "bare", "disk_format": "raw"}
    database = "glance.db.sqlalchemy.api"
    return Api(
        name="glance-api",
        module="glance.wsgi.api",
        variables={"OS_GLANCE_CONFIG_DIR": "."},
        file="glance-api.conf",
        options={
            "DEFAULT": {"enabled_backends": "here:file", "node_staging_uri": f"file://{at.folder}/staging"},
            "glance_store": {"default_backend": "here"},
            "here": files("images"),
            "os_glance_staging_store": files("staging"),
            "os_glance_tasks_store": files("tasks"),
            "database": {"connection": at.database},
            "oslo_policy": {"policy_file": str(at.folder / "policy.yaml")},
            "paste_deploy": {"config_file": str(at.programs.parent / "etc/glance/glance-api-paste.ini")},
        },
        commands=[["glance-manage", "--config-file", "glance-api.conf", "db_sync"]],
        headers={},
        requests=[
            Request("GET", "/v2/images?limit=1", None, 200, {"db ROLLBACK", "db SELECT", f"{database}.image_get_all"},
                    "/v2/images"),
            Request("POST", "/v2/images", image, 201,
                    {"db COMMIT", "db INSERT", "db ROLLBACK", "db SELECT", f"{database}.image_create",
                     f"{database}.image_tag_set_all"}, "/v2/images"),
        ],
    )  # fmt: skip


def cinder(at: Place) -> Api:
    """It calls no function that adds tracing to its engine, whatever its option says: the layer of SQLAlchemy does."""
    project = uuid.uuid4().hex
    return Api(
        name="cinder-cinder-api",
        module="cinder.wsgi.api",
        variables={"HOME": "."},
        file=".cinder/cinder.conf",
        options={
            "DEFAULT": {
                "auth_strategy": "noauth",
                "state_path": str(at.folder),
                "transport_url": "fake://",
                "api_paste_config": str(at.programs.parent / "etc/cinder/api-paste.ini"),
                "resource_query_filters_file": str(at.programs.parent / "etc/cinder/resource_filters.json"),
            },
            "database": {"connection": at.database},
        },
        commands=[["cinder-manage", "--config-file", ".cinder/cinder.conf", "db", "sync"]],
        headers={"X-Auth-Token": f"admin:{project}"},
        requests=[
            Request("GET", f"/v3/{project}/volumes/detail", None, 200,
                    {"cinder.volume.api.API.check_volume_filters", "cinder.volume.api.API.get_all",
                     "cinder.db.api.volume_get_all_by_project", "db ROLLBACK", "db SELECT"},
                    "/v3/{project_id}/volumes/detail"),
            Request("GET", f"/v3/{project}/types", None, 200,
                    {"cinder.db.api.volume_type_get_all", "db ROLLBACK", "db SELECT"}, "/v3/{project_id}/types"),
        ],
    )  # fmt: skip


def zaqar(at: Place) -> Api:
    queues, messages, driver = (
        f"zaqar.storage.{part}"
        for part in ("sqlalchemy.queues.QueueController", "redis.messages.MessageController",
                     "sqlalchemy.driver.ControlDriver")
    )  # fmt: skip
    message = {"messages": [{"body": "hello", "ttl": 300}]}
    asked_first = {f"{queues}.get_metadata", f"{driver}.fetch_one", "db ROLLBACK", "db SELECT"}
    return Api(
        name="Zaqar-Zaqar-server",
        module="zaqar.transport.wsgi.app",
        variables={"HOME": "."},
        file=".zaqar/zaqar.conf",
        options={
            "drivers": {"transport": "wsgi", "message_store": "redis", "management_store": "sqlalchemy"},
            "drivers:management_store:sqlalchemy": {"uri": at.database},
            "drivers:message_store:redis": {"uri": at.redis},
            "profiler": {f"trace_{what}": "true" for what in ("wsgi_transport", "message_store", "management_store")},
        },
        commands=[["zaqar-sql-db-manage", "--config-file", ".zaqar/zaqar.conf", "upgrade", "head"]],
        headers={"Client-ID": str(uuid.uuid4()), "X-Project-ID": "p"},
        requests=[
            Request("PUT", "/v2/queues/one", None, 204,
                    {f"{queues}.create", f"{driver}.run", "db INSERT", "db ROLLBACK", "redis MULTI"},
                    "/v2/queues/{queue_name}"),
            Request("POST", "/v2/queues/one/messages", message, 201,
                    {f"{messages}.post", *asked_first, "redis EVALSHA", "redis MULTI"},
                    "/v2/queues/{queue_name}/messages"),
            Request("GET", "/v2/queues/one/messages?limit=1", None, 200,
                    {f"{queues}.exists", f"{messages}.list", *asked_first,
                     "redis HMGET", "redis MULTI", "redis ZRANGE", "redis ZRANK"},
                    "/v2/queues/{queue_name}/messages"),
        ],
    )  # fmt: skip


def prepare(at: Place, api: Api, store: str) -> None:
    """Write its configuration and make its database."""
    profiler = {"enabled": "true", "hmac_keys": KEY, "connection_string": store, "trace_sqlalchemy": "true"}
    sections = {**api.options, "profiler": {**profiler, **api.options.get("profiler", {})}}
    sections["DEFAULT"] = {"use_stderr": "true", **api.options.get("DEFAULT", {})}
    lines = [
        line
        for section, options in sections.items()
        for line in (f"[{section}]", *(f"{name} = {value}" for name, value in options.items()))
    ]
    file = at.folder / api.file
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines))
    for program, *words in api.commands:
        done = subprocess.run(
            [str(at.programs / program), *words],
            env=environments.variables(environments.REPOSITORY),
            cwd=at.folder, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]


@contextlib.contextmanager
def serving(at: Place, api: Api) -> Iterator[tuple[str, list[bool]]]:
    """The service's address while the block runs; afterwards which of its threads had a trace left over."""
    left_over: list[bool] = []
    log_file = at.folder / "log"
    with log_file.open("w") as log, subprocess.Popen(
        [str(at.programs / "python"), str(PROGRAM), api.module],
        env=environments.variables(environments.REPOSITORY, **api.variables),
        cwd=at.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, log_file.read_text()[-3000:]
            yield f"http://127.0.0.1:{port}", left_over
            out, _ = process.communicate(timeout=120)
            assert out, log_file.read_text()[-3000:]
            left_over += json.loads(out)
        finally:
            process.kill()


def ask(address: str, api: Api, request: Request, base: str | None = None) -> str | None:
    """Send one request, in the trace *base* if there is one; the id that the service gave it, if it says so.

    The answer names the trace where there is one, and only there.
    """
    headers = {**api.headers, "Content-Type": "application/json", "Accept": "application/json"}
    if base is not None:
        info, signature = _utils.signed_pack({"base_id": base, "parent_id": base}, KEY)
        headers |= {"X-Trace-Info": info, "X-Trace-HMAC": signature}
    data = None if request.body is None else json.dumps(request.body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    made = urllib.request.Request(address + request.path, data, headers, method=request.method)
    with opener.open(made, timeout=60) as answer:
        assert answer.status in (request.status, 201), answer.read()
        assert answer.headers.get_all("X-Trace-Id") == (base and [base.replace("-", "")])
        assert len(answer.headers.get_all("traceresponse", [])) == (1 if base else 0)
        return answer.headers["x-openstack-request-id"]


@pytest.fixture
def programs(service: Callable[[Place], Api]) -> Path:
    """The folder of programs of an environment in which the released service runs."""
    return conftest.made(released.python if service is cinder else released.apis).parent


@pytest.mark.parametrize("service", [keystone, placement, glance, cinder, zaqar], ids=lambda service: service.__name__)
def test_each_request_has_a_whole_trace_of_its_own(
    programs: Path,
    tmp_path: Path,
    mariadb: MariaDB,
    redis: Redis,
    jaeger: Jaeger,
    service: Callable[[Place], Api],
) -> None:
    at = Place(programs, tmp_path, mariadb.fresh_url(), redis.fresh_url())
    api = service(at)
    prepare(at, api, jaeger.url)
    bases = {str(uuid.uuid4()): request for _ in range(10) for request in api.requests}
    with serving(at, api) as (address, left_over):
        for request in api.requests:  # the first of a kind does more than those after it
            ask(address, api, request)

        request_ids: dict[str, str | None] = {}

        def traced_and_untraced(base: str) -> None:
            request_ids[base] = ask(address, api, bases[base], base)
            ask(address, api, bases[base])

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(traced_and_untraced, bases))
    assert left_over == [False, False]
    assert "tracing fault" not in (tmp_path / "log").read_text()

    seen: dict[str, Counter[str]] = {}
    for base, request in bases.items():
        spans = jaeger.wait_for_trace(base.replace("-", ""), 1 + len(request.operations))["spans"]
        ids = {span["spanID"] for span in spans}
        (first,) = [span for span in spans if not span["references"]]
        assert first["operationName"] == f"wsgi {request.method}"
        tags = {tag["key"]: tag["value"] for tag in first["tags"]}
        assert tags.get("http.route") == request.route
        assert tags.get("openstack.request_id") == request_ids[base]
        assert tags.get("openstack.project_id") == api.headers.get("X-Project-ID")
        assert all(reference["spanID"] in ids for span in spans for reference in span["references"])
        operations = Counter(span["operationName"] for span in spans if span["operationName"] not in OF_THE_POOL)
        assert operations.keys() == {f"wsgi {request.method}", *request.operations}
        assert seen.setdefault(request.path, operations) == operations
    of_the_service = jaeger.traces(api.name)
    assert {trace["traceID"] for trace in of_the_service} == {base.replace("-", "") for base in bases}
