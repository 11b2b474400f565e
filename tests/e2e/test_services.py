# SPDX-License-Identifier: Apache-2.0
"""Released services, unmodified, with ``points = auto`` alone: requests make the trees that the documentation shows."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests import conftest, environments, released
from tests.e2e.documented import Comparison
from tests.servers import Jaeger, MariaDB, MongoJava, Rabbit, Redis
from tests.services import running, setups
from tests.services.running import Place, Request
from tests.waiting import wait_until

IMAGE = {"name": "tiny", "owner": "p", "container_format": "bare", "disk_format": "raw"}
BINARY = (("Content-Type", "application/octet-stream"), ("Accept", "*/*"))
CLIENT = Path(__file__).parents[1] / "integration" / "programs" / "zaqar_client.py"


def zaqar_traces(at: Place, jaeger: Jaeger, store: str) -> None:
    """A queue in a pool of *store*: a message is posted, claimed and deleted, by hand and by Zaqar's own client."""
    service = setups.zaqar(at, pooling=True)
    running.prepare(at, service, connection_string=jaeger.url, trace_sqlalchemy="true")
    tree = Comparison(jaeger, api=service.name, client="zaqar client")
    message = Request("POST", "/v2/queues/one/messages", {"messages": [{"body": "hello", "ttl": 300}]}, (201,))
    claim = Request("POST", "/v2/queues/one/claims?limit=1", {"ttl": 300, "grace": 300}, (201,))
    with running.running(at, service) as api:
        pool = Request("PUT", "/v2/pools/one", {"weight": 100, "uri": at.store}, (201,))
        api.ask(pool, tree.new(f"zaqar-{store}-pool"))
        api.ask(Request("PUT", "/v2/queues/one", statuses=(201,)))  # it connects to the pool
        api.ask(message, tree.new(f"zaqar-{store}-post"))
        (claimed,) = api.ask(claim, tree.new(f"zaqar-{store}-claim")).json["messages"]
        api.ask(Request("DELETE", claimed["href"], statuses=(204,)), tree.new(f"zaqar-{store}-delete"))
        done = subprocess.run(
            [str(at.programs / "python"), str(CLIENT), api.address, running.KEY, jaeger.url],
            env=environments.variables(environments.REPOSITORY, NO_PROXY="127.0.0.1"),
            cwd=at.folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        tree.add(f"zaqar-{store}-client", done.stdout.strip())
    assert api.left_over == [False, False]
    tree.settle()


def test_zaqar_with_mongodb(tmp_path: Path, mariadb: MariaDB, mongo_java: MongoJava, jaeger: Jaeger) -> None:
    programs = conftest.made(released.apis).parent
    zaqar_traces(Place(programs, tmp_path, mariadb.fresh_url(), store=mongo_java.url), jaeger, "mongodb")


@pytest.mark.slow
def test_zaqar_with_redis(tmp_path: Path, mariadb: MariaDB, redis: Redis, jaeger: Jaeger) -> None:
    programs = conftest.made(released.apis).parent
    zaqar_traces(Place(programs, tmp_path, mariadb.fresh_url(), store=redis.fresh_url()), jaeger, "redis")


@pytest.mark.slow
def test_keystone(tmp_path: Path, mariadb: MariaDB, jaeger: Jaeger) -> None:
    at = Place(conftest.made(released.apis).parent, tmp_path, mariadb.fresh_url())
    service = setups.keystone(at)
    running.prepare(at, service, connection_string=jaeger.url)
    tree = Comparison(jaeger, api=service.name)
    user = {"name": "admin", "domain": {"id": "default"}, "password": setups.PASSWORD}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    login = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    with running.running(at, service) as api:
        ask_token = Request("POST", "/v3/auth/tokens", login, (201,))
        for base in (None, None, tree.new("keystone-token")):  # both threads have made their plugins
            token = api.ask(ask_token, base).headers["x-subject-token"][0]
        list_users = Request("GET", "/v3/users", headers=(("X-Auth-Token", token),))
        for base in (None, None, tree.new("keystone-users")):
            assert api.ask(list_users, base).json["users"]
    assert api.left_over == [False, False]
    tree.settle()


def test_glance(tmp_path: Path, mariadb: MariaDB, jaeger: Jaeger) -> None:
    at = Place(conftest.made(released.apis).parent, tmp_path, mariadb.fresh_url())
    service = setups.glance(at)
    running.prepare(at, service, connection_string=jaeger.url)
    tree = Comparison(jaeger, api=service.name)
    with running.running(at, service) as api:
        data = api.ask(Request("POST", "/v2/images", IMAGE, (201,)), tree.new("glance-create")).json["file"]
        api.ask(Request("PUT", data, b"content" * 100, (204,), BINARY), tree.new("glance-upload"))
        assert api.ask(Request("GET", data, headers=BINARY), tree.new("glance-download")).text == "content" * 100
    assert api.left_over == [False, False]
    tree.settle()


@pytest.fixture
def images(tmp_path: Path, mariadb: MariaDB, jaeger: Jaeger) -> Iterator[running.Api]:
    """A glance for other services."""
    folder = tmp_path / "glance"
    folder.mkdir()
    at = Place(conftest.made(released.apis).parent, folder, mariadb.fresh_url())
    running.prepare(at, service := setups.glance(at), connection_string=jaeger.url)
    with running.running(at, service) as api:
        yield api


@pytest.mark.slow
def test_cinder(tmp_path: Path, mariadb: MariaDB, rabbit: Rabbit, jaeger: Jaeger, images: running.Api) -> None:
    folder = tmp_path / "cinder"
    folder.mkdir()
    at = Place(conftest.made(released.python).parent, folder, mariadb.fresh_url(), rabbit.url)
    service = setups.cinder(at)
    service.options["DEFAULT"]["glance_api_servers"] = images.address
    running.prepare(at, service, connection_string=jaeger.url)
    workers = {"scheduler": "cinder-cinder-scheduler", "volume": "cinder-cinder-volume"}
    tree = Comparison(jaeger, api=service.name, glance="glance-api", **workers)
    path = f"/v3/{setups.PROJECT}"
    with running.running(at, service) as api:

        def created(kind: str, body: dict[str, Any], base: str | None = None) -> str:
            """Make a volume or snapshot, and wait for it; its path."""
            answer = api.ask(Request("POST", f"{path}/{kind}s", {kind: body}, (202,)), base)
            place = f"{path}/{kind}s/{answer.json[kind]['id']}"
            wait_until(lambda: api.ask(Request("GET", place)).json[kind]["status"] == "available")
            return place

        def deleted(place: str, base: str) -> None:
            api.ask(Request("DELETE", place, statuses=(202,)), base)
            wait_until(lambda: "itemNotFound" in api.ask(Request("GET", place, statuses=(200, 404))).text)

        created("volume", {"size": 1})
        volume = created("volume", {"size": 1}, tree.new("cinder-create-volume"))
        snapshot = created("snapshot", {"volume_id": volume.rpartition("/")[2]}, tree.new("cinder-create-snapshot"))
        deleted(snapshot, tree.new("cinder-delete-snapshot"))
        deleted(volume, tree.new("cinder-delete-volume"))

        large = images.ask(Request("POST", "/v2/images", {**IMAGE, "min_disk": 2}, (201,))).json
        images.ask(Request("PUT", large["file"], b"content", (204,), BINARY))
        too_small = Request("POST", f"{path}/volumes", {"volume": {"size": 1, "imageRef": large["id"]}}, (400,))
        api.ask(too_small, tree.new("cinder-too-small-for-image"))
    assert api.left_over == [False, False]
    tree.settle()


@pytest.mark.slow
def test_neutron(tmp_path: Path, mariadb: MariaDB, rabbit: Rabbit, jaeger: Jaeger) -> None:
    at = Place(conftest.made(released.python).parent, tmp_path, mariadb.fresh_url(), rabbit.url)
    service = setups.neutron(at)
    running.prepare(at, service, connection_string=jaeger.url)
    tree = Comparison(jaeger, api=service.name)
    with running.running(at, service) as api:

        def made(number: int, traced: bool) -> None:
            def ask(kind: str, body: dict[str, Any]) -> str:
                request = Request("POST", f"/v2.0/{kind}s", {kind: {"project_id": setups.PROJECT, **body}}, (201,))
                return str(api.ask(request, tree.new(f"neutron-{kind}") if traced else None).json[kind]["id"])

            network = ask("network", {"name": "n"})
            ask("subnet", {"network_id": network, "ip_version": 4, "cidr": f"10.0.{number}.0/24"})
            ask("port", {"network_id": network})

        made(1, traced=False)
        made(2, traced=True)
    assert api.left_over == [False, False]
    tree.settle()


@pytest.mark.slow
def test_heat(tmp_path: Path, mariadb: MariaDB, rabbit: Rabbit, jaeger: Jaeger) -> None:
    at = Place(conftest.made(released.engines).parent, tmp_path, mariadb.fresh_url(), rabbit.url)
    service = setups.heat(at)
    running.prepare(at, service, connection_string=jaeger.url)
    tree = Comparison(jaeger, api=service.name, engine="heat-heat-engine")
    after = {"value": {"get_attr": ["one", "output"]}}
    kind = "OS::Heat::TestResource"
    resources = {"one": {"type": kind, "properties": {"value": "a"}}, "two": {"type": kind, "properties": after}}
    stack = {"timeout_mins": 5, "template": {"heat_template_version": "2021-04-16", "resources": resources}}
    database = sqlalchemy.create_engine(at.database, poolclass=sqlalchemy.pool.NullPool)
    with running.running(at, service) as api:

        def created(name: str, base: str | None = None) -> str:
            """Make a stack, and wait for it; its path."""
            made = api.ask(Request("POST", "/v1/admin/stacks", {**stack, "stack_name": name}, (201,)), base)
            place = f"/v1/admin/stacks/{name}/{made.json['stack']['id']}"
            wait_until(lambda: api.ask(Request("GET", place)).json["stack"]["stack_status"] == "CREATE_COMPLETE")
            return place

        def engines() -> int:
            """How many engines take messages; one that is sent before is lost."""
            with database.connect() as connection:
                return connection.execute(sqlalchemy.text("SELECT count(*) FROM service")).scalar_one()

        wait_until(engines, 120, "an engine")
        created("untraced")
        place = created("traced", tree.new("heat-create"))
        api.ask(Request("GET", "/v1/admin/stacks"), tree.new("heat-list"))
        api.ask(Request("DELETE", place, statuses=(204,)), tree.new("heat-delete"))
    assert api.left_over == [False, False]
    tree.settle()


@pytest.mark.slow
def test_ironic(tmp_path: Path, mariadb: MariaDB, rabbit: Rabbit, jaeger: Jaeger) -> None:
    at = Place(conftest.made(released.engines).parent, tmp_path, mariadb.fresh_url(), rabbit.url)
    service = setups.ironic(at)
    running.prepare(at, service, connection_string=jaeger.url)
    tree = Comparison(jaeger, api=service.name, conductor="ironic-ironic_conductor")
    with running.running(at, service) as api:
        wait_until(lambda: api.ask(Request("GET", "/v1/drivers")).json["drivers"], what="a conductor")
        make = Request("POST", "/v1/nodes", {"driver": "fake-hardware"}, (201,))
        node = f"/v1/nodes/{api.ask(make, tree.new('ironic-enroll')).json['uuid']}"
        manage = Request("PUT", f"{node}/states/provision", {"target": "manage"}, (202,))
        api.ask(manage, tree.new("ironic-manage"))
        wait_until(lambda: api.ask(Request("GET", node)).json["provision_state"] == "manageable")
        api.ask(Request("PUT", f"{node}/states/power", {"target": "power on"}, (202,)), tree.new("ironic-power"))
        wait_until(lambda: api.ask(Request("GET", node)).json["power_state"] == "power on")
    tree.settle()
