# SPDX-License-Identifier: Apache-2.0
"""Keys change while requests come, over REST and a real RabbitMQ: no trace is lost or cut, and none is forged."""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg

from osprofiler._runtime import clocks
from osprofiler.context.trace_context import TraceContext
from osprofiler.drivers import base
from osprofiler.propagation import osprofiler, signed
from osprofiler.steering import report
from tests.servers import Rabbit
from tests.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "keyed_service.py"
OLD, NEW, SUPPORT = "the old key of all services", "the new key of all services", "the key of the support team"
THREADS = 3
#: What a whole trace has: of a REST request, and of a message.
REST = {"wsgi api": 1, "rpc api": 1, "rpc worker": 1}
RPC = {"rpc worker": 1}


class Cloud:
    """An API and a worker behind it, in processes of their own, and their store."""

    def __init__(self, rabbit: Rabbit, folder: Path) -> None:
        self.store = f"sqlite:///{folder}/traces.db"
        self._folder = folder
        self._url = rabbit.url
        self._topic = f"keys-{uuid.uuid4().hex}"
        self._services: dict[str, subprocess.Popen[str]] = {}
        self._policies = 0

    @contextlib.contextmanager
    def running(self, **options: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for role in ("worker", "api"):
                self._configure(role, options)
                command = [sys.executable, str(PROGRAM), role, str(self._conf(role)), self._url, self._topic]
                service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                self._services[role] = stack.enter_context(service)
                stack.callback(service.kill)
                self.address = f"http://127.0.0.1:{self._line(role)}/"  # of the API, which is last
            cfg.CONF([], project="keys")  # the library's tracing options are known to this one alone
            transport = oslo_messaging.get_rpc_transport(cfg.CONF, self._url)
            self._client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=self._topic))
            yield
            transport.cleanup()

    def change(self, role: str, **options: str) -> None:
        """Change the options of a service, and wait until they are in force."""
        self._configure(role, options)
        commands = self._services[role].stdin
        assert commands is not None
        commands.write("mutate\n")
        commands.flush()
        assert self._line(role) == "mutated"

    def policy(self, text: str) -> str:
        """A new policy file with *text*; its path."""
        self._policies += 1
        path = self._folder / f"policy-{self._policies}.yaml"
        path.write_text(text)
        return str(path)

    def get(self, fields: dict[str, str]) -> bool:
        """Send a REST request with the headers *fields*. Whether its answer says that it is traced."""
        with urllib.request.urlopen(urllib.request.Request(self.address, headers=fields), timeout=120) as answer:
            assert answer.read() == b"done"
            return "X-Trace-Id" in answer.headers

    def call(self, fields: dict[str, str]) -> None:
        """Send a message with the signed text of *fields*."""
        message = {signed.ENVELOPE_KEY: fields[signed.HEADER]}
        assert self._client.prepare(timeout=120).call(message, "work") == "done"

    def stop(self) -> dict[str, Counter[str]]:
        """Stop the services; what their keys did not allow."""
        refused = {}
        for role, service in reversed(self._services.items()):
            out, _ = service.communicate(timeout=120)
            refused[role] = Counter(json.loads(out.splitlines()[-1]))
        return refused

    def traces(self) -> dict[str, Counter[str]]:
        """The points of each trace in the store, by name and service; without the services' reports of their policy."""
        driver = base.get_driver(self.store)
        now_s = time.time()
        bases = {trace["base_id"] for trace in driver.list_traces()} - set(report.base_ids(now_s - 3600, now_s))
        return {base_id: Counter(_points(driver.get_report(base_id)["children"])) for base_id in bases}

    def starts(self) -> dict[str, str]:
        """When each trace in the store began, as its records have it: UTC."""
        return {trace["base_id"]: trace["timestamp"] for trace in base.get_driver(self.store).list_traces()}

    def _configure(self, role: str, options: dict[str, str]) -> None:
        options = {"enabled": "true", "connection_string": self.store, "instrument": "messaging", **options}
        lines = [f"{name} = {value}\n" for name, value in options.items()]
        self._conf(role).write_text("".join(["[profiler]\n", *lines]))

    def _conf(self, role: str) -> Path:
        return self._folder / f"{role}.conf"

    def _line(self, role: str) -> str:
        out = self._services[role].stdout
        assert out is not None
        return out.readline().strip()


def _points(children: list[dict[str, Any]]) -> Iterator[str]:
    for child in children:
        yield f"{child['info']['name']} {child['info']['service']}"
        yield from _points(child["children"])


def asking(key: str, later_s: int = 0) -> tuple[str, dict[str, str]]:
    """A new trace, and what a client sends that asks for it with *key*; *later_s*: by how much its clock is wrong."""
    context = TraceContext.from_osprofiler(key)
    right = clocks.wall_ns
    with pytest.MonkeyPatch.context() as patched:
        if later_s:
            patched.setattr(clocks, "wall_ns", lambda: right() + later_s * 1_000_000_000)
        text = signed.encode(context)
    return context.base_id, {signed.HEADER: text, **osprofiler.encode(context, key)}


def whole(traces: dict[str, Counter[str]], wanted: dict[str, int], bases: list[str]) -> bool:
    """Whether each of *bases* is a trace with the points *wanted*."""
    assert {base_id: traces.get(base_id) for base_id in bases} == {base_id: Counter(wanted) for base_id in bases}
    return True


class Load:
    """Requests with the key in use, over REST and RPC, and forged ones between them, from several threads."""

    def __init__(self, cloud: Cloud, key: str) -> None:
        self.key = key
        self.rest: list[str] = []
        self.rpc: list[str] = []
        self.forged: list[str] = []
        self._cloud = cloud
        self._over = threading.Event()
        self._faults: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self._faults, self._faults

    def more(self) -> None:
        """Wait until so many more requests have come in that each thread has sent with the key in use now."""
        before = len(self.rest)
        wait_until(lambda: len(self.rest) >= before + 3 * THREADS or self._faults, 300, "requests")

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._ask(self.key, self.rest, self._cloud.get)
                self._ask(self.key, self.rpc, self._cloud.call)
                self._ask("a key that nobody has", self.forged, self._cloud.get)
                self._ask("a key that nobody has", self.forged, self._cloud.call)
        except BaseException as fault:
            self._faults.append(fault)

    def _ask(self, key: str, sent: list[str], send: Callable[[dict[str, str]], object]) -> None:
        base_id, fields = asking(key)
        send(fields)
        sent.append(base_id)


@pytest.fixture
def cloud(rabbit: Rabbit, tmp_path: Path) -> Cloud:
    return Cloud(rabbit, tmp_path)


def test_the_services_change_their_key(cloud: Cloud) -> None:
    """The steps that the documentation has: accept the new key, sign with it, give up the old one."""
    with cloud.running(hmac_keys=OLD):
        with Load(cloud, OLD) as load:
            for keys in (f"{OLD},{NEW}", f"{NEW},{OLD}"):
                cloud.change("worker", hmac_keys=keys)
                load.more()
                cloud.change("api", hmac_keys=keys)
                load.more()
            load.key = NEW
            load.more()
            load.more()
            # The service that clients reach is first: what it lets in is traced to its end.
            cloud.change("api", hmac_keys=NEW)
            load.more()
            cloud.change("worker", hmac_keys=NEW)
            load.more()
        replayed, fields = asking(OLD)
        cloud.get(fields)
        cloud.call(fields)
        cloud.stop()
    traces = cloud.traces()
    assert whole(traces, REST, load.rest)
    assert whole(traces, RPC, load.rpc)
    assert set(traces) == {*load.rest, *load.rpc}, "no forged trace, and none of the old key"
    assert load.forged
    assert replayed not in traces


def limited(cloud: Cloud, **limits: object) -> dict[str, str]:
    """Options with a policy in which the key of the support team has *limits*."""
    fields = "".join(f"\n    {name}: {value}" for name, value in limits.items())
    return {"hmac_keys": NEW, "policy_file": cloud.policy(f"keys:\n  support:\n    secret: {SUPPORT}{fields}\n")}


def test_a_key_with_limits_comes_ends_and_is_revoked(cloud: Cloud) -> None:
    with cloud.running(hmac_keys=NEW):
        with Load(cloud, NEW) as load:  # meanwhile

            def change(options: dict[str, str]) -> None:
                for role in ("api", "worker"):
                    cloud.change(role, **options)

            def ask(times: int = 1, send: tuple[Callable[[dict[str, str]], object], ...] = (cloud.get,)) -> list[str]:
                asked = [asking(SUPPORT) for _ in range(times)]
                for _, fields in asked:
                    for each in send:
                        each(fields)
                return [base_id for base_id, _ in asked]

            unknown = ask()
            # The API alone knows the key: it signs the trace for the worker.
            cloud.change("api", **limited(cloud))
            known = ask(5)

            change(limited(cloud, rate="ratelimiting:0.001"))
            over_rate = ask(20)
            over_rate_of_rpc = ask(20, (cloud.call,))

            change(limited(cloud, max_age=4, clock_skew=0))
            replayed, fields = asking(SUPPORT)
            answers: list[bool] = []
            wait_until(lambda: answers.append(cloud.get(fields)) or not answers[-1], what="the age of the header")
            cloud.call(fields)
            (old, _), (future, _) = wrong = [asking(SUPPORT, -60), asking(SUPPORT, 60)]
            for _, fields in wrong:
                cloud.get(fields)
                cloud.call(fields)
                cloud.get({name: value for name, value in fields.items() if name != signed.HEADER})

            until_s = clocks.wall_ns() // 1_000_000_000 + 3
            change(limited(cloud, until=_text(until_s)))
            ending: list[str] = []
            wait_until(lambda: ending.extend(ask()) or clocks.wall_ns() > (until_s + 1) * 1_000_000_000, what="the end")

            change({"hmac_keys": NEW, "policy_file": cloud.policy("keys: {}")})
            revoked = ask(3, (cloud.get, cloud.call))
        refused = cloud.stop()
    traces = cloud.traces()
    assert whole(traces, REST, load.rest)
    assert whole(traces, RPC, load.rpc)
    assert [traces.get(base_id) for base_id in known] == [Counter(REST)] * 5
    assert sum(base_id in traces for base_id in over_rate) == 1, "as many as the bucket holds"
    assert sum(base_id in traces for base_id in over_rate_of_rpc) == 1
    ended = [base_id for base_id in ending if base_id not in traces]
    assert ended == ending[-len(ended) :], "none is let in after the end"
    assert all(start <= _text(until_s) for base_id, start in cloud.starts().items() if base_id in ending)
    assert len(answers) > 1
    let_in = len(answers) - 1
    assert traces[replayed] == Counter(dict.fromkeys(REST, let_in)), "none after its age, over REST or RPC"
    for nothing in ([old, future], unknown, revoked, load.forged):
        assert not set(nothing) & set(traces)
    others = {*load.rpc, *over_rate_of_rpc, replayed}
    assert whole(traces, REST, [base_id for base_id in traces if base_id not in others])
    assert refused["api"]["key.rate"] == 19
    assert refused["worker"]["key.rate"] == 19
    assert (refused["api"]["key.age"], refused["worker"]["key.age"], refused["api"]["key.no_time"]) == (3, 3, 2)
    assert refused["api"]["key.ended"] == len(ended)


def _text(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
