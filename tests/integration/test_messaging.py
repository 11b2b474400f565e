# SPDX-License-Identifier: Apache-2.0
"""RPC over a real RabbitMQ, client and server in their own processes; one side may be osprofiler 4.4.0."""

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest

from tests.servers import Rabbit
from tests.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "rpc_peer.py"
KEY = "the secret key"


def new_base() -> str:
    return str(uuid.uuid4())


class Peers:
    """Starts servers and clients on one topic, and reads their traces."""

    def __init__(self, rabbit: Rabbit, folder: Path) -> None:
        self.rabbit = rabbit
        self.folder = folder
        self.topic = f"topic-{uuid.uuid4().hex[:8]}"

    def _options(self, role: str, name: str, **more: Any) -> dict[str, Any]:
        return {
            "role": role,
            "url": self.rabbit.url,
            "topic": self.topic,
            "spans": str(self.folder / name),
            "keys": [KEY],
            "instrument": "process",
            **more,
        }

    @contextlib.contextmanager
    def server(self, name: str = "server", python: str = sys.executable, **more: Any) -> Iterator[list[bool]]:
        """A server that runs during the block. The list then has the points that its workers have left open."""
        options = self._options("server", name, server=name, **more)
        with (
            (self.folder / f"{name}.log").open("w") as log,
            subprocess.Popen(
                [python, str(PROGRAM), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                assert process.stdout.readline().strip() == "ready", (self.folder / f"{name}.log").read_text()
                left_over: list[bool] = []
                yield left_over
                out, _ = process.communicate(timeout=120)
                left_over.extend(json.loads(out.splitlines()[-1]))
            finally:
                process.kill()

    def client(self, *steps: dict[str, Any], python: str = sys.executable, **more: Any) -> list[Any]:
        """Run *steps* in a client process. Returns their outcomes."""
        options = self._options("client", "client", steps=steps, **more)
        done = subprocess.run(
            [python, str(PROGRAM), json.dumps(options)], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        outcomes: list[Any] = json.loads(done.stdout.splitlines()[-1])
        return outcomes

    def spans(self, base: str | None = None, name: str = "*") -> list[dict[str, Any]]:
        """The spans of all processes, of one trace or of all traces."""
        files = [file for file in self.folder.glob(name) if file.suffix != ".log"]
        rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [row for row in rows if base in (None, row["base"])]

    def trace(self, base: str, spans: int) -> list[dict[str, Any]]:
        """Wait for so many spans of the trace *base*: the span of a server ends after its reply."""

        def complete() -> list[dict[str, Any]]:
            recorded = self.spans(base)
            assert len(recorded) == spans, recorded
            return recorded

        return wait_until(complete, what=f"{spans} spans of one trace")


@pytest.fixture
def peers(rabbit: Rabbit, tmp_path: Path) -> Peers:
    return Peers(rabbit, tmp_path)


def one(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    return row


VARIANTS = {
    "native threads": {},
    "eventlet": {"executor": "eventlet"},
    "single objects": {"instrument": "objects"},
    "a service's own serializer": {"serializer": "service"},
    "our serializer as well": {"serializer": "tracing"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_of_an_rpc_is_one_client_and_one_server_span(peers: Peers, variant: str) -> None:
    bases = {name: new_base() for name in ("seen", "note", "fan", "fail", "expected", "nope", "wait")}
    with peers.server(**VARIANTS[variant]) as left_over, peers.server("second", **VARIANTS[variant]):
        to_first = {"prepare": {"server": "server"}}
        outcomes = peers.client(
            {"method": "seen", "base": bases["seen"], "prepare": {"server": "server", "call_monitor_timeout": 30}},
            {"method": "note", "how": "cast", "mark": 1, "base": bases["note"], **to_first},
            {"method": "note", "how": "cast", "mark": 2, "base": bases["fan"], "prepare": {"fanout": True}},
            {"method": "fail", "base": bases["fail"], **to_first},
            {"method": "expected", "base": bases["expected"], **to_first},
            {"method": "nope", "base": bases["nope"], **to_first},
            {"method": "wait", "base": bases["wait"], "prepare": {"server": "server", "timeout": 1}},
            {"method": "release", **to_first},
            **VARIANTS[variant],
        )
        traces = {
            name: peers.trace(bases[name], count) for name, count in zip(bases, (3, 3, 5, 2, 2, 2, 2), strict=True)
        }
    assert outcomes[0]["base"] == bases["seen"]
    # Only the fields of the client and of oslo.messaging's driver.
    assert set(outcomes[0]["context"]) == {"user", "client_timeout"}
    assert outcomes[3:7] == ["RemoteError", "KeyError", "RemoteError", "MessagingTimeout"]

    rows = traces["seen"]
    client = one(rows, kind="client")
    server = one(rows, kind="server", parent=client["id"], follows=False, operation="rpc seen")
    one(rows, operation="endpoint", parent=server["id"])
    assert client["root"]
    assert client["info"]["rpc"] == {
        "method": "seen",
        "topic": peers.topic,
        "server": "server",
        "version": "1.0",
        "kind": "call",
    }
    assert (client["user"], server["user"]) == (None, "u")  # as the message's context has it
    assert client["destination"] == server["destination"] == f"{peers.topic}.server"
    assert client["error"] is server["error"] is None

    producer = one(traces["note"], kind="producer")
    consumer = one(traces["note"], kind="consumer", parent=producer["id"], follows=True)
    one(traces["note"], operation="endpoint", parent=consumer["id"], follows=False)

    producer = one(traces["fan"], kind="producer")
    consumers = [row for row in traces["fan"] if row["kind"] == "consumer"]
    assert [row["parent"] for row in consumers] == [producer["id"]] * 2
    assert all(row["follows"] for row in consumers)

    errors = {
        name: (one(traces[name], kind="client")["error"], one(traces[name], kind="server")["error"])
        for name in ("fail", "expected", "nope", "wait")
    }
    remote = "oslo_messaging.rpc.client.RemoteError"
    assert errors == {
        "fail": (remote, "__main__.ServiceError"),
        "expected": ("KeyError", "KeyError"),
        "nope": (remote, "oslo_messaging.rpc.dispatcher.NoSuchMethod"),
        "wait": ("oslo_messaging.exceptions.MessagingTimeout", None),
    }
    assert left_over == [False] * 4


SPANS = {"serializer": "service", "instrument": "process"}
UNIT_OF_WORK_ALONE = {"serializer": "service", "instrument": ""}  # so the client's key is in its messages
SERIALIZER_ALONE = {"serializer": "tracing", "instrument": ""}


@pytest.mark.parametrize(
    ("how", "executor", "each"),
    [
        (SPANS, "threading", 250),
        (SPANS, "eventlet", 125),
        (UNIT_OF_WORK_ALONE, "threading", 250),
        (UNIT_OF_WORK_ALONE, "eventlet", 125),
        (SERIALIZER_ALONE, "threading", 125),
    ],
)
def test_traced_and_untraced_messages_in_turn_never_mix(
    peers: Peers, how: dict[str, Any], executor: str, each: int
) -> None:
    """In two reused workers. Half of the traced messages leave a trace point open."""
    bases = [new_base() for _ in range(each)]
    steps: list[dict[str, Any]] = []
    for base in bases:
        steps += [
            {"method": "seen", "base": base},
            {"method": "seen"},
            {"method": "leave_open", "base": base},
            {"method": "seen"},
        ]
    with peers.server(executor=executor, workers=2, **how) as left_over:
        outcomes = peers.client(*steps, **how)
    seen = [outcome["base"] for outcome in outcomes]
    assert seen == [base for base in bases for base in (base, None, base, None)]
    assert left_over == [False] * 2
    assert {row["base"] for row in peers.spans()} == set(bases)
    # The spans of two clients, two servers, two endpoints, and the open point, which ends with the server's span.
    assert len(peers.spans(bases[0])) == (7 if how is SPANS else 2)


def test_without_the_unit_of_work_they_do_mix(peers: Peers) -> None:
    base = new_base()
    how = {"serializer": "service", "instrument": "", "isolate": False}
    with peers.server(workers=1, **how) as left_over:
        outcomes = peers.client({"method": "seen", "base": base}, {"method": "seen"}, **how)
    assert [outcome["base"] for outcome in outcomes] == [base, base]
    assert left_over == [True]


@pytest.mark.parametrize("plain_peers", [False, True])
def test_the_key_is_on_the_wire_only_for_plain_peers(peers: Peers, plain_peers: bool) -> None:
    base = new_base()
    address = f"127.0.0.1:{peers.rabbit.port}"
    with peers.server(), amqp.Connection(address, userid="guest", password="guest") as connection:
        channel = connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, "openstack", peers.topic)
        peers.client(
            {"method": "seen", "base": base}, {"method": "seen"}, serializer="service", plain_peers=plain_peers
        )
        raw = [channel.basic_get(queue, no_ack=True).body for _ in range(2)]
    traced, untraced = (json.loads(json.loads(body)["oslo.message"]) for body in raw)
    assert not [name for name in untraced if "trace" in name or "osprofiler" in name]
    assert "_context_osprofiler_context" in traced
    client = one(peers.spans(base), kind="client")
    assert client["id"].replace("-", "")[16:] in traced["_context_traceparent"]
    if plain_peers:
        assert traced["_context_trace_info"] == {"hmac_key": KEY, "base_id": base, "parent_id": client["id"]}
    else:
        assert KEY not in "".join(raw)
        assert "_context_trace_info" not in traced


@pytest.mark.parametrize("plain_peers", [False, True])
def test_a_plain_server_joins_only_as_a_plain_peer(peers: Peers, stock_python: Path, plain_peers: bool) -> None:
    base = new_base()
    stock = {"python": str(stock_python), "serializer": "service", "instrument": ""}
    with peers.server(**stock):
        (outcome,) = peers.client({"method": "seen", "base": base}, plain_peers=plain_peers, serializer="service")
    client = one(peers.spans(base, "client"), kind="client")
    assert outcome["base"] == (base if plain_peers else None)  # the call succeeds in both cases
    rows = peers.spans(name="server")
    assert [(row["base"], row["parent"]) for row in rows] == ([(base, client["id"])] if plain_peers else [])


@pytest.mark.parametrize("keys", [[KEY], ["another key"]])
def test_a_plain_client_is_continued_with_one_of_our_keys(peers: Peers, stock_python: Path, keys: list[str]) -> None:
    base = new_base()
    stock = {"python": str(stock_python), "serializer": "service", "instrument": ""}
    with peers.server(serializer="service", keys=keys) as left_over:
        (outcome,) = peers.client({"method": "seen", "base": base}, **stock)
    if keys == [KEY]:
        assert outcome["base"] == base
        server = one(peers.spans(base), operation="rpc seen", kind="server", root=True)
        one(peers.spans(base), operation="endpoint", parent=server["id"])
    else:
        assert outcome["base"] is None
        assert peers.spans() == []
    assert left_over == [False] * 4
