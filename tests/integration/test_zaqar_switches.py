# SPDX-License-Identifier: Apache-2.0
"""Zaqar as it was released, with pools in Redis: switches that change while it runs, and its own options."""

import uuid
from pathlib import Path

import pytest

from tests import conftest, released
from tests.servers import Jaeger, MariaDB, Redis
from tests.services import running, setups
from tests.services.running import Place, Request
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

POST = Request("POST", "/v2/queues/one/messages", {"messages": [{"body": "hello", "ttl": 300}]}, (201,))
QUEUE = Request("PUT", "/v2/queues/one", statuses=(201, 204))


def kinds(operations: set[str]) -> set[str]:
    """What there is in a trace, by the switches."""
    known = {
        "wsgi POST": "wsgi",
        "zaqar.storage.pooling.": "pooling",
        "redis ": "redis",
        "db ": "sqlalchemy",
        "zaqar.storage.redis.": "message store",
        "zaqar.storage.sqlalchemy.": "management store",
    }
    return {kind for operation in operations for start, kind in known.items() if operation.startswith(start)}


EVERYTHING = {"wsgi", "pooling", "redis", "sqlalchemy", "message store", "management store"}


@pytest.fixture
def at(tmp_path: Path, mariadb: MariaDB, redis: Redis) -> Place:
    return Place(conftest.made(released.apis).parent, tmp_path, mariadb.fresh_url(), store=redis.fresh_url())


def test_each_switch_takes_its_spans_out_of_a_running_zaqar(at: Place, jaeger: Jaeger) -> None:
    policy = at.folder / "policy.yaml"
    policy.write_text("services: {}\n")
    zaqar = setups.zaqar(at, pooling=True)
    running.prepare(at, zaqar, connection_string=jaeger.url, trace_sqlalchemy="true", policy_file=str(policy))

    def traced() -> set[str]:
        base = str(uuid.uuid4())
        api.ask(POST, base)

        def whole() -> set[str]:
            trace = jaeger.trace(base.replace("-", "")) or {"spans": []}
            operations = {span["operationName"] for span in trace["spans"]}
            return operations if "wsgi POST" in operations else set()  # its span is the last to end

        return kinds(wait_until(whole))

    with running.running(at, zaqar) as api:
        pool = Request("PUT", "/v2/pools/one", {"weight": 100, "uri": at.store}, (201,))
        for request in (pool, QUEUE, POST):
            api.ask(request)
        wait_until(lambda: traced() == EVERYTHING)
        for switch, without in (
            ("trace_pooling", "pooling"),
            ("trace_redis", "redis"),
            ("trace_sqlalchemy", "sqlalchemy"),
        ):
            policy.write_text(f"services: {{'*': {{{switch}: false}}}}\n")
            wait_until(lambda left=EVERYTHING - {without}: traced() == left)
        policy.write_text("services: {}\n")
        wait_until(lambda: traced() == EVERYTHING)


@pytest.mark.parametrize("transport", ["true", "false"])
def test_zaqars_own_switch_of_requests_is_final_where_it_is_off(transport: str, at: Place, jaeger: Jaeger) -> None:
    policy = at.folder / "policy.yaml"
    policy.write_text("services: {'*': {trace_wsgi: true}}\n")
    zaqar = setups.zaqar(at, pooling=True)
    zaqar.options["profiler"]["trace_wsgi_transport"] = transport
    running.prepare(at, zaqar, connection_string=jaeger.url, policy_file=str(policy))

    def traced() -> bool:
        return "x-trace-id" in api.ask(Request("GET", "/v2/queues"), str(uuid.uuid4())).headers

    with running.running(at, zaqar) as api:
        assert traced() is (transport == "true")
        if transport == "true":
            policy.write_text("services: {'*': {trace_wsgi: false}}\n")
            wait_until(lambda: not traced())
            policy.write_text("services: {}\n")
            wait_until(traced)
