# SPDX-License-Identifier: Apache-2.0
"""A server that forks its workers, as gunicorn does: each reports its own spans, also one that replaces another."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from osprofiler import _utils
from tests.integration.test_fork_exit import PROGRAMS, ROOT
from tests.integration.test_jaeger_delivery import tags_of
from tests.servers import Jaeger

KEY = "a key"
WORKERS = 4


class Master:
    """The server's master process."""

    def __init__(self, url: str) -> None:
        self.trace = str(uuid.uuid4())
        command = [sys.executable, str(PROGRAMS / "conc_prefork.py"), url, str(WORKERS), self.trace]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        self.port, self.workers = self._told()

    def _told(self) -> tuple[int, list[int]]:
        assert self.process.stdout is not None
        port, workers = json.loads(self.process.stdout.readline())
        return port, workers

    def replace(self, pid: int) -> None:
        """Have worker *pid* end, and another forked in its place."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{pid}\n")
        self.process.stdin.flush()
        _, self.workers = self._told()

    def end(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode

    def request(self, base_id: str) -> int:
        """Send a traced request; the pid of the worker that answered."""
        info, signature = _utils.signed_pack({"base_id": base_id, "parent_id": base_id}, KEY)
        headers = {"X-Trace-Info": info.decode(), "X-Trace-HMAC": signature}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return int(answer.read())


@pytest.fixture
def master(jaeger: Jaeger) -> Iterator[Master]:
    made = Master(jaeger.url)
    yield made
    with contextlib.suppress(ProcessLookupError):
        os.killpg(made.process.pid, signal.SIGKILL)
    made.process.wait()


def shape(trace: dict[str, Any]) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Each span's name, and its references by name."""
    names = {span["spanID"]: str(tags_of(span)["osprofiler.name"]) for span in trace["spans"]}
    assert len(names) == len(trace["spans"])
    return {
        (names[span["spanID"]], tuple(sorted((one["refType"], names[one["spanID"]]) for one in span["references"])))
        for span in trace["spans"]
    }


def test_workers_report_their_own_requests(jaeger: Jaeger, master: Master) -> None:
    traces = [str(uuid.uuid4()) for _ in range(60)]
    with ThreadPoolExecutor(8) as pool:
        answered = list(pool.map(master.request, traces[:30]))
        first = set(master.workers)
        for pid in sorted(first)[:2]:
            master.replace(pid)
        answered += pool.map(master.request, traces[30:])
    assert set(answered) <= first | set(master.workers)
    assert len(set(answered)) > 1
    assert master.end() == 0
    whole = {
        ("wsgi", ()),
        ("work", (("CHILD_OF", "wsgi"),)),
        ("fork", (("CHILD_OF", "work"),)),
        ("join", (("CHILD_OF", "work"), ("FOLLOWS_FROM", "fork"))),
    }
    ids: list[str] = []
    for base_id, pid in zip(traces, answered, strict=True):
        trace = jaeger.wait_for_trace(base_id.replace("-", ""), 4)
        assert shape(trace) == whole
        pids = {tag["value"] for one in trace["processes"].values() for tag in one["tags"] if tag["key"] == "pid"}
        assert pids == {pid}, "the worker that answered"
        ids += [span["spanID"] for span in trace["spans"]]
    assert len(set(ids)) == len(ids), "workers hand out the same ids"
    own = jaeger.wait_for_trace(master.trace.replace("-", ""), 1)
    assert shape(own) == {("master", ())}, "the master's own, once"
