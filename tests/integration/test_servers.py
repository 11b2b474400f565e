# SPDX-License-Identifier: Apache-2.0
"""The servers other tests stand on: they come up, go down and come back, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.servers import SERVERS, Jaeger, MariaDB, Postgres, StartFailed
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_server_comes_back_where_it_was_after_a_kill(request: pytest.FixtureRequest) -> None:
    shared = [request.getfixturevalue(name) for name in SERVERS]  # skips, or fails, where one is missing
    for server in shared:
        with type(server)() as own:
            where = own.url
            assert where != server.url
            own.kill()
            assert not own.serves()
            own.start()
            assert own.url == where
            assert own.serves()
            folder = own.directory
        assert not folder.exists()


@pytest.mark.parametrize("name", ["mariadb", "postgres"])
def test_a_database_keeps_its_rows_over_a_kill_and_a_restart(name: str, request: pytest.FixtureRequest) -> None:
    shared: MariaDB | Postgres = request.getfixturevalue(name)
    with type(shared)() as own:
        engine = sqlalchemy.create_engine(own.fresh_url(), pool_pre_ping=True)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE t (n INTEGER)"))
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES (41)"))
        own.kill()
        own.start()
        own.restart()
        with engine.begin() as connection:
            assert connection.execute(sqlalchemy.text("SELECT n FROM t")).scalars().all() == [41]
        engine.dispose()
        assert own.fresh_url() != str(engine.url)


def test_jaeger_tells_what_was_sent_to_it(jaeger: Jaeger) -> None:
    assert jaeger.trace(TRACE) is None
    _send(jaeger, "test-servers", "an operation")
    trace = jaeger.wait_for_trace(TRACE, 1)
    assert [span["operationName"] for span in trace["spans"]] == ["an operation"]
    assert "test-servers" in jaeger.services()
    assert [found["traceID"] for found in jaeger.traces("test-servers")] == [TRACE]
    with pytest.raises(TimeoutError, match=r"1 of 2 spans: \['an operation'\]"):
        jaeger.wait_for_trace(TRACE, 2, timeout_s=0)


def test_jaeger_serves_the_sampling_it_is_given(jaeger: Jaeger) -> None:
    with Jaeger() as own:
        assert own.sampling("any")["probabilisticSampling"]["samplingRate"] == 1
        own.set_sampling({"default_strategy": {"type": "ratelimiting", "param": 7}})
        served = wait_until(lambda: own.sampling("any").get("rateLimitingSampling"), what="the new strategy")
        assert served["maxTracesPerSecond"] == 7


def test_a_start_that_fails_shows_the_log(jaeger: Jaeger) -> None:
    with Jaeger() as own:
        own.stop()
        (own.data / "config.yaml").write_text("receivers: {nonsense: }")
        with pytest.raises(StartFailed, match="nonsense"):
            own.start()


def test_nothing_stays_behind_when_the_run_is_killed(jaeger: Jaeger) -> None:
    code = (
        "from tests.servers import Jaeger\n"
        "own = Jaeger(); own.start(); print(own._process.pid, own.directory, flush=True); input()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    pid, folder = run.stdout.readline().split()
    os.kill(int(pid), 0)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    wait_until(lambda: not Path(folder).exists(), what="the keeper")
    wait_until(lambda: not _alive(int(pid)), what="the end of the server")


def test_the_stock_osprofiler_is_the_one_that_is_replaced(stock_python: Path) -> None:
    code = "import importlib.metadata, osprofiler, oslo_messaging; print(importlib.metadata.version('osprofiler'))"
    asked = [stock_python, "-I", "-c", code]
    shown = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True)
    assert shown.stdout == "4.4.0\n"


def _alive(pid: int) -> bool:
    """Return whether *pid* runs; a process that has ended and waits to be collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def _send(jaeger: Jaeger, service: str, operation: str) -> None:
    span: dict[str, Any] = {
        "traceId": TRACE,
        "spanId": "b7ad6b7169203331",
        "name": operation,
        "startTimeUnixNano": str(time.time_ns()),  # a search looks no further back than some hours
        "endTimeUnixNano": str(time.time_ns()),
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    asked = urllib.request.Request(
        f"{jaeger.otlp_url}/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
        assert answer.status == 200
