# SPDX-License-Identifier: Apache-2.0
"""``osprofiler doctor`` on real stores, and on the PasteDeploy files of released services."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler.diagnosis import pipelines, store
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig
from osprofiler.drivers import base
from tests import conftest, released, servers

OK, WARN, FAIL = Status.OK, Status.WARN, Status.FAIL


def checked(folder: Path, connection_string: str, options: str = "") -> Result:
    """The result of the check of one store."""
    file = folder / "shop.conf"
    file.write_text(f"{options}\n[profiler]\nconnection_string = {connection_string}\n")
    (result,) = store.check(ServiceConfig([str(file)]))
    return result


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def values(result: Result) -> dict[str, Any]:
    return dict(result.values)


def test_redis(redis: servers.Redis, tmp_path: Path) -> None:
    url = redis.fresh_url()
    result = checked(tmp_path, url)
    assert (result.status, result.advice) == (OK, "")
    assert {"write_ms", "read_ms", "delete_ms"} <= result.values.keys()
    assert base.get_driver(url).list_traces() == []


def test_redis_that_does_not_let_us_in(redis: servers.Redis, tmp_path: Path) -> None:
    wrong = f"redis://:Zq7xSecret@127.0.0.1:{redis.port}/0"
    result = checked(tmp_path, wrong)
    assert (result.status, "AuthenticationError" in result.text) == (FAIL, True)
    assert "Zq7xSecret" not in repr(result)


def test_jaeger_over_http(jaeger: servers.Jaeger, tmp_path: Path) -> None:
    result = checked(tmp_path, jaeger.url)
    assert (result.status, values(result)["acknowledged"]) == (OK, True)
    assert "cannot delete" in result.text
    assert len(base.get_driver(jaeger.url).read(values(result)["base_id"])) == 2


def test_jaeger_over_udp_is_asked_for_the_trace(jaeger: servers.Jaeger, tmp_path: Path) -> None:
    result = checked(tmp_path, jaeger.udp_url)
    assert (result.status, values(result)["acknowledged"]) == (OK, False)
    assert "sent by UDP, and read back from the query service" in result.text


def test_jaeger_whose_query_service_is_away(jaeger: servers.Jaeger, closed_port: int, tmp_path: Path) -> None:
    """What has acknowledged is there; of UDP nobody knows."""
    for url, status in ((jaeger.url, WARN), (jaeger.udp_url, FAIL)):
        result = checked(tmp_path, f"{url.partition('?')[0]}?query=http://127.0.0.1:{closed_port}")
        assert result.status is status
        assert f"cannot read http://127.0.0.1:{closed_port}" in result.text


def test_jaeger_that_gets_what_another_one_is_asked_for(
    jaeger: servers.Jaeger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_VISIBLE_S", 0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"jaeger://127.0.0.1:{nobody.getsockname()[1]}?query={jaeger.query_url}"
        result = checked(tmp_path, url)
    assert (result.status, "is not there" in result.text) == (FAIL, True)


def test_otlp_that_nobody_can_read(jaeger: servers.Jaeger, tmp_path: Path) -> None:
    result = checked(tmp_path, jaeger.otlp_url.replace("http://", "otlp://"))
    assert (result.status, "not read back" in result.text) == (OK, True)
    assert result.advice == "add ?query=http://HOST:16686 if they end up in Jaeger"


def test_the_broker_of_the_service(rabbit: servers.Rabbit, tmp_path: Path) -> None:
    result = checked(tmp_path, "messaging://", f"[DEFAULT]\ntransport_url = {rabbit.url}")
    assert (result.status, result.advice) == (OK, "")
    assert {"write_ms", "read_ms", "delete_ms"} <= result.values.keys()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rabbit://guest:Zq7xSecret@127.0.0.1:{closed_port}/", "Connection refused"),
        ("nothing://guest:Zq7xSecret@127.0.0.1/", "no transport for messaging://"),
    ],
)
def test_a_broker_that_cannot_be_used(url: str, words: str, closed_port: int, tmp_path: Path) -> None:
    options = f"[DEFAULT]\ntransport_url = {url.format(closed_port=closed_port)}"
    result = checked(tmp_path, "messaging://", options)
    assert (result.status, words in result.text) == (FAIL, True), result.text
    assert "Zq7xSecret" not in repr(result)


@pytest.mark.parametrize(
    "connection_string",
    [
        "redis://:Zq7xSecret@127.0.0.1:{port}",
        "jaeger+http://127.0.0.1:{port}",
        "otlp://127.0.0.1:{port}",
        "mongodb://user:Zq7xSecret@127.0.0.1:{port}",
        "elasticsearch://user:Zq7xSecret@127.0.0.1:{port}",
        "mysql+pymysql://user:Zq7xSecret@127.0.0.1:{port}/traces",
    ],
)
def test_dead_ports(connection_string: str, closed_port: int, tmp_path: Path) -> None:
    result = checked(tmp_path, connection_string.format(port=closed_port))
    assert result.status is FAIL
    assert result.advice.startswith("start the store")
    assert "\n" not in result.text
    assert "Zq7xSecret" not in repr(result)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("project", "release", "statuses"),
    [
        ("nova", "34.0.0", {OK}),
        ("cinder", "29.0.0", {OK}),
        ("glance", "33.0.0", {OK}),
        ("neutron", "29.0.0", {OK}),
        ("openstack-heat", "27.0.1", {WARN}),  # the filter is behind authentication
        ("barbican", "23.0.0", {FAIL}),  # there is none
    ],
)
def test_released_paste_files(project: str, release: str, statuses: set[Status], tmp_path: Path) -> None:
    package = conftest.made(lambda: released.wheel(project, release))
    (paste,) = package.glob("*.data/data/etc/*/*-paste.ini")
    file = tmp_path / "shop.conf"
    file.write_text("[profiler]\nenabled = true\nhmac_keys = a key of this test\n")
    results = list(pipelines.check(ServiceConfig([str(file)]), str(paste)))
    assert {result.status for result in results} == statuses, results
