# SPDX-License-Identifier: Apache-2.0
"""Ends of processes and forks, each in processes of its own: what was reported before is delivered, once."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from osprofiler.drivers import base
from tests.integration.test_jaeger_delivery import tags_of
from tests.servers import Jaeger
from tests.waiting import wait_until

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).resolve().parents[2]


def run(
    program: str, *arguments: str, timeout_s: float = 120, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs; where it does not end, what it and its children were at is in ``stderr``."""
    command = [sys.executable, "-X", "faulthandler", str(PROGRAMS / program), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), **more}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)
        output = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, *output)


def names(trace: dict[str, Any]) -> list[str]:
    return sorted(tags_of(span)["osprofiler.name"] for span in trace["spans"])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("plain", ["main"]),
        ("system_exit", ["main"]),
        ("uncaught", ["main"]),
        ("exit_in_thread", ["main", "thread"]),
        ("thread_outlives_main", ["main", "thread"]),
        ("os_fork", ["child", "main"]),
        ("os_fork_after_a_delivery", ["before", "child", "main"]),
        ("fork", ["child", "main"]),
        ("spawn", ["child", "main"]),
        ("forkserver", ["child", "main"]),
        ("pool", ["child", "main"]),
        ("eventlet_plain", ["greenthread", "main"]),
        ("eventlet_os_fork", ["before", "child", "main"]),
        ("eventlet_fork_while_encoding", [*["before"] * 400, "child", "main"]),
        ("eventlet_oslo_service", ["main", "worker", "worker"]),
        ("gevent_plain", ["greenthread", "main"]),
        ("gevent_os_fork", ["before", "child", "main"]),
        ("gevent_fork_while_encoding", [*["before"] * 400, "child", "main"]),
        ("threading_oslo_service", ["main", "worker", "worker"]),
        ("threading_oslo_service_without_fork", ["main", "stop"]),
        ("cotyledon", ["main", "stop"]),
    ],
)
def test_every_way_out_delivers(jaeger: Jaeger, how: str, expected: list[str]) -> None:
    base_id = str(uuid.uuid4())
    ended = run("report_and_exit.py", how, jaeger.url, base_id)
    assert ended.returncode == {"system_exit": 3, "uncaught": 1}.get(how, 0), ended.stderr
    trace = jaeger.wait_for_trace(base_id.replace("-", ""), len(expected))
    assert names(trace) == expected, ended.stderr
    # Each process under its own pid: the process tags are not the parent's.
    for span in trace["spans"]:
        process = {tag["key"]: tag["value"] for tag in trace["processes"][span["processID"]]["tags"]}
        assert process["pid"] == tags_of(span)["start.pid"]


@pytest.mark.parametrize("how", ["plain", "fork", "eventlet_plain", "eventlet_oslo_service", "gevent_plain"])
def test_a_collector_that_never_answers_does_not_keep_a_process_from_ending(how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"jaeger+http://127.0.0.1:{silent.getsockname()[1]}"
        ended = run("report_and_exit.py", how, address, str(uuid.uuid4()), "0.2")
    assert ended.returncode == 0, ended.stderr
    assert "spans were delivered" in ended.stderr, "the loss is told"


@pytest.mark.parametrize(("mode", "forks"), [("native", 50), ("eventlet", 50), ("gevent", 20)])
def test_forks_while_the_reporter_is_at_work(jaeger: Jaeger, mode: str, forks: int) -> None:
    """Children, forked from a process whose threads report and whose reporter delivers all the time."""
    base_id = str(uuid.uuid4())
    ended = run("fork_while_busy.py", mode, jaeger.url, base_id, str(forks))
    assert ended.returncode == 0, ended.stderr
    reported = int(ended.stdout.split()[-1])
    trace = jaeger.wait_for_trace(base_id.replace("-", ""), reported + forks, 60)
    found = names(trace)
    assert found.count("child") == forks
    assert found.count("busy") == reported
    assert len(found) == reported + forks, "what the parent had queued is delivered by the parent alone"
    assert len({span["spanID"] for span in trace["spans"]}) == len(found)


def test_a_child_forked_while_a_request_begins_ends() -> None:
    """What closes a pool's connections at exit does not wait for a thread that is not there."""
    assert run("fork_while_connecting.py", timeout_s=60).returncode == 0


@pytest.mark.parametrize(("mode", "forks"), [("native", 20), ("eventlet", 20), ("gevent", 5)])
def test_forks_while_the_reporter_writes_to_sqlite(mode: str, forks: int, tmp_path: Path) -> None:
    url, base_id = f"sqlite:///{tmp_path / 'traces.db'}", str(uuid.uuid4())
    ended = run("fork_while_busy.py", mode, url, base_id, str(forks))
    assert ended.returncode == 0, ended.stderr
    found = Counter(record["name"] for record in base.get_driver(url).read(base_id))
    reported = int(ended.stdout.split()[-1])
    assert found == {"child-start": forks, "child-stop": forks, "busy-start": reported, "busy-stop": reported}


@pytest.mark.parametrize("before", ["", "1"], ids=["nothing before", "delivered before"])
def test_a_daemon_writes_where_it_was_started_and_takes_nothing_away(before: str, tmp_path: Path) -> None:
    """It changes its folder and closes every file, the parent's connection to SQLite among them; the parent is gone."""
    base_id = str(uuid.uuid4())
    ended = run("daemon.py", "sqlite:///traces.db", base_id, cwd=tmp_path, TRACES_BEFORE=before)
    assert (ended.returncode, ended.stdout) == (0, "ready\n"), ended.stderr
    driver = base.get_driver(f"sqlite:///{tmp_path / 'traces.db'}")
    names = ["before"] * bool(before) + ["daemon", "end"]
    expected = sorted(f"{name}-{phase}" for name in names for phase in ("start", "stop"))
    wait_until(lambda: sorted(record["name"] for record in driver.read(base_id)) == expected, what=str(expected))


GREEN = [
    "hung_collector",
    "hung_postgresql",
    "locked_sqlite",
    "slow_name_server",
    "unreachable_collector_and_a_handler_that_yields",
    "blocking_store",
    "native_threads_report",
    "patched_after_import",
    "fork_with_a_blocking_store",
]


@pytest.mark.parametrize(
    ("library", "how"),
    [
        *((library, how) for library in ("eventlet", "gevent") for how in GREEN),
        ("gevent", "loop_ends"),
        *((f"gevent:{part}", "hung_collector") for part in ("thread", "socket,ssl", "ssl")),
        ("gevent:thread", "fork_with_a_blocking_store"),
        ("gevent:dns", "slow_name_server"),
    ],
)
def test_greenthreads_run_on_whatever_tracing_waits_for(jaeger: Jaeger, library: str, how: str) -> None:
    ended = run("green_service.py", library, how, jaeger.url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "fine", ended.stdout + ended.stderr
    assert "greenlet.error" not in ended.stderr
    assert "Traceback" not in ended.stderr
