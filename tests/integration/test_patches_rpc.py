# SPDX-License-Identifier: Apache-2.0
"""nova's own RPC over a real RabbitMQ into a real Jaeger: patched, in both of its concurrency modes, and mixed with
plain peers; and the RPC layers of unpatched services with nothing but this osprofiler in the place of stock's."""

import contextlib
import json
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler.cmd import shell
from tests import conftest, environments, released
from tests.e2e import traces
from tests.servers import Jaeger, Rabbit, Redis
from tests.waiting import wait_until

PROGRAMS = Path(__file__).parent / "programs"
KEY = "a key of this test"
NEWEST = "34.0.0"
OLDER = ["33.0.2", "32.2.1", "31.3.1"]
THIS = environments.REPOSITORY

MODES = [
    pytest.param(NEWEST, "threading", id=f"{NEWEST}-threading"),
    pytest.param(NEWEST, "eventlet", id=f"{NEWEST}-eventlet"),
    *(
        pytest.param(release, mode, id=f"{release}-{mode}", marks=pytest.mark.slow)
        for release in OLDER
        for mode in ("threading", "eventlet")
        if (release, mode) != ("31.3.1", "threading")  # it has eventlet only
    ),
]


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment in which the released services run."""
    return conftest.made(released.python)


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """From a release of nova to a folder that holds it patched."""
    made: dict[str, Path] = {}

    def folder(release: str) -> Path:
        if release not in made:
            made[release] = released.copy("nova", release, tmp_path_factory.mktemp("patched"))
            assert shell.main(["patch", "apply", "nova", "--path", str(made[release])]) == 0
        return made[release]

    return folder


class Peers:
    """Starts servers and clients of one topic and looks at their traces."""

    def __init__(self, python: Path, folder: Path, rabbit: Rabbit, store: str) -> None:
        self._python = python
        self._folder = folder
        self._rabbit = rabbit
        self._store = store
        self.topic = f"topic-{uuid.uuid4().hex[:8]}"

    def _start(
        self, role: str, nova: Path, *, program: str = "nova_peer.py", plain: bool = False, **options: Any
    ) -> "subprocess.Popen[str]":
        """One side: with the nova of that folder; *plain*: with stock's osprofiler."""
        given = {"role": role, "topic": self.topic, "key": KEY, "mode": "threading", **options}
        given.setdefault("binary", "nova-compute" if role == "server" else "nova-api")
        given["config"] = str(self._folder / f"{role}-{uuid.uuid4().hex[:8]}.conf")
        settings = {"enabled": "true", "hmac_keys": KEY, "connection_string": self._store, **given.pop("profiler", {})}
        lines = [f"transport_url = {self._rabbit.url}", f"state_path = {self._folder}", "[oslo_concurrency]"]
        lines += [f"lock_path = {self._folder}", "[profiler]", *(f"{key} = {value}" for key, value in settings.items())]
        Path(given["config"]).write_text("\n".join(["[DEFAULT]", *lines, ""]))
        with (self._folder / f"{role}.log").open("a") as log:
            return subprocess.Popen(
                [str(self._python), str(PROGRAMS / program), json.dumps(given)],
                env=environments.variables(nova, *([] if plain else [THIS])),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @contextlib.contextmanager
    def server(self, nova: Path, name: str = "server", **options: Any) -> Iterator[dict[str, Any]]:
        """A server while the block runs; what it says at its end is in the dictionary afterwards."""
        with self._start("server", nova, server=name, **options) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().strip() == "ready", (self._folder / "server.log").read_text()
                end: dict[str, Any] = {}
                yield end
                out, _ = process.communicate(timeout=120)
                end.update(json.loads(out.splitlines()[-1]) if out.strip() else {})
            finally:
                process.kill()

    def client(self, nova: Path, *steps: Any, **options: Any) -> Any:
        """Run *steps* in a client process; what it says of them."""
        with self._start("client", nova, steps=steps, **options) as process:
            try:
                out, _ = process.communicate(timeout=300)
            finally:
                process.kill()
        assert process.returncode == 0, (self._folder / "client.log").read_text()[-3000:]
        return json.loads(out.splitlines()[-1])


def step(method: str, base: str | None = None, **more: Any) -> dict[str, Any]:
    return {"method": method, "base": base, **more}


def new_base() -> str:
    return str(uuid.uuid4())


def new_bases() -> dict[str, str]:
    """A trace for each of :func:`every_way`."""
    return {name: new_base() for name in ("echo", "note", "fan", "fail", "wait")}


def every_way(bases: dict[str, str], *, untraced: bool = True) -> list[dict[str, Any]]:
    """Call, cast, fanout, remote error and timeout, each in a trace of its own, and a call that is in none."""
    to_first = {"prepare": {"server": "server"}}
    return [
        step("echo", bases["echo"], thing="a keypair"),
        step("note", bases["note"], how="cast", mark="cast", **to_first),
        step("note", bases["fan"], how="cast", mark="fan", prepare={"fanout": True}),
        step("fail", bases["fail"]),
        step("wait", bases["wait"], prepare={"server": "server", "timeout": 1}),
        step("release", **to_first),
        *([step("echo", thing="untraced")] if untraced else []),
        step("noted", **to_first),
    ]


def came_back(result: dict[str, Any]) -> list[list[str | None]]:
    """What the server has noted of cast and fanout: mark and trace. Fails where :func:`every_way` did not come out."""
    *outcomes, noted = result["outcomes"]
    failed, late = "InstanceNotFound_Remote", "MessagingTimeout"
    assert outcomes[:6] == ["a keypair", None, None, failed, late, None]
    assert outcomes[6:] in ([], ["untraced"])
    return sorted(noted)


def found(jaeger: Jaeger, base: str, spans: int) -> dict[str, Any]:
    """The trace once it has so many spans: a server's ends after its reply."""

    def whole() -> dict[str, Any] | None:
        trace = jaeger.trace(base.replace("-", ""))
        assert trace is not None, base
        assert len(trace["spans"]) == spans, [span["operationName"] for span in trace["spans"]]
        return trace

    return wait_until(whole, what=f"{spans} spans of {base}")


def failing(trace: dict[str, Any]) -> dict[str, str]:
    """The spans of a trace that hold an error: operation to kind of span; and its error tags are taken away."""
    failed = {}
    for span in trace["spans"]:
        if any(tag["key"] == "error" for tag in span["tags"]):
            kind = next(tag["value"] for tag in span["tags"] if tag["key"] == "span.kind")
            failed[kind] = span["operationName"]
            span["tags"] = [tag for tag in span["tags"] if tag["key"] != "error"]
    return failed


ECHO = """
nova-api rpc echo
  nova-compute rpc echo
    nova-compute __main__.Endpoint.echo.<locals>.step
      nova-compute step
"""
NOTE = """
nova-api rpc note
  nova-compute rpc note ~
"""


@pytest.mark.parametrize(("release", "mode"), MODES)
def test_every_way_of_a_patched_rpc_is_one_trace(
    python: Path, patched: Any, tmp_path: Path, rabbit: Rabbit, jaeger: Jaeger, release: str, mode: str
) -> None:
    peers = Peers(python, tmp_path, rabbit, jaeger.url)
    nova = patched(release)
    bases = new_bases()
    with peers.server(nova, mode=mode) as one, peers.server(nova, "second", mode=mode) as other:
        result = peers.client(nova, *every_way(bases), mode=mode)
    assert came_back(result) == [["cast", bases["note"]], ["fan", bases["fan"]]]
    assert one["left_over"] == other["left_over"] == [False] * 8

    def paths(trace: dict[str, Any]) -> Counter[traces.Path]:
        return traces.in_jaeger(trace, "nova-")

    traces.assert_same(paths(found(jaeger, bases["echo"], 4)), traces.expected(ECHO))
    traces.assert_same(paths(found(jaeger, bases["note"], 2)), traces.expected(NOTE))
    traces.assert_same(paths(found(jaeger, bases["fan"], 3)), traces.expected(NOTE + NOTE.splitlines()[-1]))
    failed = found(jaeger, bases["fail"], 2)
    assert failing(failed) == {"client": "rpc fail", "server": "rpc fail"}
    traces.assert_same(paths(failed), traces.expected("nova-api rpc fail\n  nova-compute rpc fail"))
    late = found(jaeger, bases["wait"], 2)
    assert failing(late) == {"client": "rpc wait"}
    traces.assert_same(paths(late), traces.expected("nova-api rpc wait\n  nova-compute rpc wait"))
    assert KEY not in json.dumps([jaeger.trace(base.replace("-", "")) for base in bases.values()])


@pytest.mark.parametrize("mode", ["threading", "eventlet"])
def test_a_thousand_requests_leave_nothing_behind(
    python: Path, patched: Any, tmp_path: Path, rabbit: Rabbit, jaeger: Jaeger, mode: str
) -> None:
    """Traced and untraced in turn, over the same workers of nova's server and of its thread pool."""
    peers = Peers(python, tmp_path, rabbit, jaeger.url)
    nova = patched(NEWEST)
    bases = [new_base() for _ in range(500)]
    steps = [step("echo", base, thing="thing") for pair in ((base, None) for base in bases) for base in pair]
    with peers.server(nova, mode=mode) as end:
        assert peers.client(nova, *steps, mode=mode)["outcomes"] == ["thing"] * 1000
    assert end["left_over"] == [False] * 8
    for base in bases:
        traces.assert_same(traces.in_jaeger(found(jaeger, base, 4), "nova-"), traces.expected(ECHO))


@pytest.mark.parametrize("how", ["disabled", "not installed"])
def test_without_tracing_the_patched_lines_call_nothing(
    python: Path, patched: Any, tmp_path: Path, rabbit: Rabbit, jaeger: Jaeger, how: str
) -> None:
    peers = Peers(python, tmp_path, rabbit, jaeger.url)
    nova = patched(NEWEST)
    off: dict[str, Any] = {"profiler": {"enabled": "false"}}
    if how == "not installed":
        off = {"without_osprofiler": True}
    counted = {"count_calls": str(THIS / "osprofiler")}
    with peers.server(nova, **counted, **off) as end:
        steps = [step("echo", thing="thing"), step("fail"), step("note", how="cast", mark="cast")]
        result = peers.client(nova, *steps, **counted, **off)
    assert result == {"outcomes": ["thing", "InstanceNotFound_Remote", None], "calls": []}
    assert end["calls"] == []


# Beside plain peers

BOTH_MODES = pytest.mark.parametrize("mode", ["threading", pytest.param("eventlet", marks=pytest.mark.slow)])
PLAIN_PEERS = pytest.mark.parametrize("plain_peers", [True, False], ids=["rpc_plain_peers", "without"])


@BOTH_MODES
@PLAIN_PEERS
def test_a_patched_client_and_a_plain_server(
    python: Path, patched: Any, tmp_path: Path, rabbit: Rabbit, redis: Redis, mode: str, plain_peers: bool
) -> None:
    store = redis.fresh_url()
    peers = Peers(python, tmp_path, rabbit, store)
    bases = new_bases()
    options = {"rpc_plain_peers": str(plain_peers)}
    with peers.server(released.wheel("nova", NEWEST), plain=True, mode=mode):
        # Where it knows of traces, a plain server takes a thread's second request for its first: an untraced one would
        # be in that one's trace.
        steps = every_way(bases, untraced=not plain_peers)
        result = peers.client(patched(NEWEST), *steps, profiler=options, mode=mode)
    noted = came_back(result)
    if not plain_peers:
        assert noted == [["cast", None], ["fan", None]]
    elsewhere = {"step": 1} if plain_peers else {}
    for name, base in bases.items():
        wanted = {"rpc": 1, **(elsewhere if name == "echo" else {})}
        assert points(store, base, sum(wanted.values())) == wanted, name


@BOTH_MODES
@PLAIN_PEERS
def test_a_plain_client_and_a_patched_server(
    python: Path, patched: Any, tmp_path: Path, rabbit: Rabbit, redis: Redis, mode: str, plain_peers: bool
) -> None:
    """What a plain client asks for counts either way: our key is in it."""
    store = redis.fresh_url()
    peers = Peers(python, tmp_path, rabbit, store)
    bases = new_bases()
    options = {"rpc_plain_peers": str(plain_peers)}
    with peers.server(patched(NEWEST), profiler=options, mode=mode) as end:
        result = peers.client(released.wheel("nova", NEWEST), *every_way(bases), plain=True, mode=mode)
    assert came_back(result) == [["cast", bases["note"]], ["fan", bases["fan"]]]
    assert end["left_over"] == [False] * 8
    inside = {"__main__.Endpoint.echo.<locals>.step": 1, "step": 1}
    for name, base in bases.items():
        wanted = {"rpc": 1, **(inside if name == "echo" else {})}
        assert points(store, base, sum(wanted.values())) == wanted, name


@pytest.mark.parametrize("side", ["client", "server"])
def test_the_patched_side_of_a_mixed_trace_in_jaeger(
    python: Path, patched: Any, tmp_path: Path, rabbit: Rabbit, redis: Redis, jaeger: Jaeger, side: str
) -> None:
    peers = Peers(python, tmp_path, rabbit, jaeger.url)
    bases = new_bases()
    elsewhere = {"profiler": {"connection_string": redis.fresh_url()}, "plain": True}
    sides = {"client": released.wheel("nova", NEWEST), "server": released.wheel("nova", NEWEST), side: patched(NEWEST)}
    ours = {"profiler": {"rpc_plain_peers": "true"}}
    with peers.server(sides["server"], **(ours if side == "server" else elsewhere)):
        came_back(peers.client(sides["client"], *every_way(bases), **(ours if side == "client" else elsewhere)))
    # A plain sender does not say that it will not wait.
    kinds = {"client": {"note": "producer", "fan": "producer"}, "server": {}}
    for name, base in bases.items():
        inside = {"__main__.Endpoint.echo.<locals>.step", "step"} if (name, side) == ("echo", "server") else set()
        trace = found(jaeger, base, 1 + len(inside))
        (rpc,) = [span for span in trace["spans"] if span["operationName"] not in inside]
        tags = {tag["key"]: tag["value"] for tag in rpc["tags"]}
        assert tags["span.kind"] == kinds[side].get(name, side), name
        assert not rpc["references"], "the request itself has no span"
        assert KEY not in json.dumps(trace)


def points(store: str, base: str, count: int) -> dict[str, int]:
    """The names of the trace points of one trace in Redis, once there are so many and none lacks its parent."""
    from osprofiler.drivers import base as drivers
    from osprofiler.reports import model

    def whole() -> dict[str, int] | None:
        trace = model.from_records(drivers.get_driver(store).read(base))
        assert len(trace.spans) == count, trace.spans
        assert not any(span.parent_missing for span in trace.spans.values())
        return dict(Counter(span.name for span in trace.spans.values()))

    return wait_until(whole, what=f"{count} trace points of {base}")


# Unpatched services


@pytest.mark.parametrize("project", ["nova", "cinder", "neutron"])
def test_an_unpatched_service_never_mixes_its_traces(
    python: Path, tmp_path: Path, rabbit: Rabbit, jaeger: Jaeger, project: str
) -> None:
    """Traced and untraced messages in turn; its serializer calls ``init`` and nothing of its own takes that back."""
    peers = Peers(python, tmp_path, rabbit, jaeger.url)
    nothing = tmp_path / "nothing"
    layers: dict[str, Any] = {"program": "nova_rpc_layers.py", "project": project}
    bases = [new_base() for _ in range(20)]
    steps = [base for pair in ((base, None) for base in bases) for base in pair]
    with peers.server(nothing, binary="server", **layers):
        result = peers.client(nothing, *steps, binary="client", **layers)
    assert [outcome[:2] for outcome in result] == [[base, base] for base in steps]
    assert len({worker for *_, worker in result}) <= 2, "no worker was used again"
    for base in bases:
        trace = found(jaeger, base, 4)
        # Without a patch the profile of the project shows both ends of the message.
        assert sorted(span["operationName"] for span in trace["spans"]) == [
            "endpoint",
            "rpc work",
            "rpc work",
            "spawned",
        ]
