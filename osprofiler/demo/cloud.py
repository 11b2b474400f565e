# SPDX-License-Identifier: Apache-2.0
"""Run the demo's processes: start them, wait until they are ready, and always end them."""

from __future__ import annotations

import json
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from osprofiler.demo import settings

#: Each inner tuple is one process. RPC in memory needs all its services in one process; with a broker each has its own.
IN_MEMORY = (("image",), ("api", "conductor", *settings.COMPUTES))
OVER_BROKER = (("image",), ("conductor",), *((host,) for host in settings.COMPUTES), ("api",))

_STOP_S = 30


class DemoError(Exception):
    """An error of the demo; the text is one line: what failed and what to do."""


class Cloud:
    """The running cloud, as a context manager. After a normal end its trace is in the store.

    *prepare* is called with the database's URL and makes the tables. *groups* are additional options of oslo.config, by
    group. *say* is called with a text before each wait. Raises DemoError, and any error of *prepare*.
    """

    def __init__(
        self,
        connection_string: str,
        *,
        transport_url: str = "fake://",
        db_url: str | None = None,
        prepare: Callable[[str], None] = lambda db_url: None,
        fault: str = "",
        model: str = "threads",
        timeout_s: int = 60,
        groups: Mapping[str, Mapping[str, str]] | None = None,
        say: Callable[[str], None] = lambda what: None,
    ) -> None:
        self.key = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="osprofiler-demo-"))
        self.db_url = db_url or f"sqlite:///{self.folder / 'cloud.db'}"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.urls: dict[str, str] = {}
        self._layout = IN_MEMORY if transport_url.startswith("fake:") else OVER_BROKER
        self._module = f"osprofiler.demo.{'green_' if model == 'eventlet' else ''}process"
        self._prepare = prepare
        self._timeout_s = timeout_s
        self._say = say
        options: dict[str, dict[str, str]] = {
            "DEFAULT": {"transport_url": transport_url},
            "profiler": {
                "enabled": "true",
                "hmac_keys": self.key,
                "connection_string": connection_string,
                "trace_requests": "true",
                "trace_sqlalchemy": "true",
                "instrument": "messaging",
            },
            "demo": {"db_url": self.db_url, "fault": fault, "model": model, "timeout": str(timeout_s)},
        }
        for group, more in (groups or {}).items():
            options.setdefault(group, {}).update(more)
        settings.write(self.folder / "demo.conf", options)

    def __enter__(self) -> Cloud:
        try:
            self._prepare(self.db_url)
            for roles in self._layout:
                self._start(roles)
                if roles[0] == "image":  # the other processes need its URL
                    self._wait_ready("image")
            for roles in self._layout[1:]:
                self._wait_ready(roles[0])
        except BaseException as fault:
            self._abandon(fault)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is not None:
            self._abandon(fault)
            return
        self._say("the services to deliver their last spans and end")
        slow = self.stop()
        if slow:
            raise DemoError(f"{', '.join(slow)} did not end in {_STOP_S} s; the logs are in {self.folder}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def boot(self) -> dict[str, Any]:
        """Run the client, which boots a server. Returns ``base_id``, and ``status`` or ``error``."""
        self._say("the client's server to be built")
        client = self._spawn("client", "osprofiler.demo.client", ["client"])
        try:
            output, _ = client.communicate(timeout=2 * self._timeout_s)
        except subprocess.TimeoutExpired:
            raise DemoError(f"the client did not end in {2 * self._timeout_s} s{self._log_end('client')}") from None
        if client.returncode:
            raise DemoError(f"the client failed{self._log_end('client')}")
        result: dict[str, Any] = json.loads(output)
        return result

    def stop(self) -> list[str]:
        """Stop the processes. Returns the names of those that did not end in time and were killed."""
        for process in self.processes.values():
            if process.stdin and not process.stdin.closed:
                process.stdin.close()
        deadline = time.monotonic() + _STOP_S
        slow = []
        for name, process in self.processes.items():
            try:
                process.wait(timeout=max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                slow.append(name)
        self._kill()
        return slow

    def _start(self, roles: tuple[str, ...]) -> None:
        self._spawn(roles[0], self._module, list(roles))

    def _spawn(self, name: str, module: str, roles: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, "--config-file", str(self.folder / "demo.conf")]
        command += ["--demo-roles", ",".join(roles)]
        for role, url in self.urls.items():
            command += [f"--demo-{role}_url", url]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches only this process, which then ends the others
            )
        self.processes[name] = process
        return process

    def _wait_ready(self, name: str) -> None:
        self._say(f"{name} to be ready")
        process = self.processes[name]
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], self._timeout_s)
        line = process.stdout.readline() if ready else ""
        if not line:
            how = "ended" if ready else f"was not ready in {self._timeout_s} s"
            raise DemoError(f"{name} {how}{self._log_end(name)}")
        url = json.loads(line)["url"]
        if url:
            self.urls[name] = url

    def _log_end(self, name: str) -> str:
        log = self.folder / f"{name}.log"
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f": {lines[-1].strip()[:300]} (full log: {log})" if lines else f" and logged nothing ({log})"

    def _abandon(self, fault: BaseException) -> None:
        """Kill all processes. Keep their logs if they may show the reason of a DemoError."""
        self._kill()
        if not (isinstance(fault, DemoError) and self.processes):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
