# SPDX-License-Identifier: Apache-2.0
"""Starts a released service: its API on two native threads, and the programs that work beside it."""

import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from osprofiler import _utils
from tests import environments
from tests.servers.program import Program
from tests.waiting import wait_until

PROGRAM = Path(__file__).parent / "api.py"
KEY = "a key of this test"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Place(NamedTuple):
    """Where a service is set up."""

    programs: Path  # of the environment that has the service
    folder: Path  # the service's own
    database: str  # URL of an empty database
    transport: str = "fake://"  # of oslo.messaging
    store: str = ""  # of messages, where a service has such a store


class Service(NamedTuple):
    """How a service is set up."""

    name: str  # its API, as Jaeger knows it
    module: str  # whose ``application`` a WSGI server loads; empty: one of the workers is the API
    variables: dict[str, str]  # that say where its configuration is: the folder it runs in
    file: str  # of its configuration
    options: dict[str, dict[str, str]]
    commands: list[list[str]]  # that make its database
    headers: dict[str, str]  # of each request
    workers: tuple[str, ...] = ()  # programs beside the API
    address: str = ""  # of an API that is one of the workers


class Request(NamedTuple):
    """One request to a service."""

    method: str
    path: str
    body: Any = None  # JSON; bytes are sent as they are
    statuses: tuple[int, ...] = (200,)
    headers: tuple[tuple[str, str], ...] = ()


class Answer(NamedTuple):
    """What a service answers."""

    text: str
    headers: dict[str, list[str]]  # by names in lower case

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Api:
    """The API of a running service."""

    def __init__(self, service: Service, address: str, logs: Callable[[], str]) -> None:
        self._service = service
        self.logs = logs  # all that it has logged
        self.address = address
        self.left_over: list[bool] = []  # at the end: whether a trace was left over in each of its threads

    def ask(self, request: Request, base: str | None = None, *, key: str = KEY) -> Answer:
        """Send one request, in the trace *base* if there is one. Fails if its status is none of those expected."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {**self._service.headers, **dict(request.headers)}
        if base is not None:
            info, signature = _utils.signed_pack({"base_id": base, "parent_id": base}, key)
            headers |= {"X-Trace-Info": info.decode(), "X-Trace-HMAC": signature or ""}
        body = request.body
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        made = urllib.request.Request(self.address + request.path, data, headers, method=request.method)
        try:
            with _opener.open(made, timeout=60) as reply:
                status, text, fields = reply.status, reply.read().decode(), reply.headers
        except urllib.error.HTTPError as refusal:
            with refusal:
                status, text, fields = refusal.code, refusal.read().decode(), refusal.headers
        assert status in request.statuses, f"{request.method} {request.path}: {status} {text}\n{self.logs()[-3000:]}"
        return Answer(text, {name.lower(): fields.get_all(name) or [] for name in fields})

    def answers(self) -> bool:
        """Whether it takes connections."""
        host = urllib.parse.urlsplit(self.address)
        try:
            socket.create_connection((host.hostname, host.port), timeout=5).close()
        except OSError:
            return False
        return True


def prepare(at: Place, service: Service, **profiler: str) -> None:
    """Write its configuration, with *profiler* as options of ``[profiler]``, and make its database."""
    tracing = {"enabled": "true", "hmac_keys": KEY, "flush_interval": "0.05", **profiler}
    sections = {**service.options, "profiler": {**tracing, **service.options.get("profiler", {})}}
    sections["DEFAULT"] = {"use_stderr": "true", **service.options.get("DEFAULT", {})}
    lines = [
        line
        for section, options in sections.items()
        for line in (f"[{section}]", *(f"{name} = {value}" for name, value in options.items()))
    ]
    file = at.folder / service.file
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines))
    for program, *words in service.commands:
        done = subprocess.run(
            [str(at.programs / program), *words],
            env=_variables(service), cwd=at.folder, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]


@contextlib.contextmanager
def running(at: Place, service: Service) -> Iterator[Api]:
    """The service's API, which runs while the block does, as its workers do. Fails for a fault of tracing in any."""
    workers = [
        Program(name, [at.programs / name, "--config-file", at.folder / service.file], _variables(service))
        for name in service.workers
    ]
    with contextlib.ExitStack() as started:
        for worker in workers:
            started.enter_context(worker)
        if service.module:
            api = started.enter_context(_serving(at, service))
        else:
            api = Api(service, service.address, lambda: "\n".join(worker.log_tail() for worker in workers))
            wait_until(api.answers, 120, service.name)
        yield api
        for worker in workers:
            worker.stop()
            assert "tracing fault" not in worker.log_tail(100_000)


@contextlib.contextmanager
def _serving(at: Place, service: Service) -> Iterator[Api]:
    with (at.folder / "log").open("w") as log, subprocess.Popen(
        [str(at.programs / "python"), str(PROGRAM), service.module],
        env=_variables(service), cwd=at.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            api = Api(service, f"http://127.0.0.1:{port}", lambda: (at.folder / "log").read_text(errors="replace"))
            assert port, api.logs()[-3000:]
            yield api
            out, _ = process.communicate(timeout=120)
            assert out, api.logs()[-3000:]
            assert "tracing fault" not in api.logs()
            api.left_over += json.loads(out)
        finally:
            process.kill()


def _variables(service: Service) -> dict[str, str]:
    return environments.variables(environments.REPOSITORY, NO_PROXY="127.0.0.1", **service.variables)
