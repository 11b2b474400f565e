# SPDX-License-Identifier: Apache-2.0
"""A trace that a script begins: where it goes, what is printed, and what is left behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from osprofiler import config, notifier, profiler, web
from osprofiler.cmd import shell
from osprofiler.connection.strings import CONNECTION_STRING
from osprofiler.drivers import base, search
from osprofiler.reports.model import Trace

pytestmark = pytest.mark.usefixtures("osprofiler_process")

KEY = "SECRET_KEY"

SCRIPT = """
from osprofiler import profiler

with profiler.client_trace("SECRET_KEY") as trace_id:
    with profiler.Trace("step"):
        print(trace_id)
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(CONNECTION_STRING, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'traces.db'}"


def stored(store: str, base_id: str) -> Trace:
    return search.read(base.get_driver(store), base_id)


def tree(trace: Trace) -> list[tuple[int, str, str | None]]:
    return [(depth, span.name, span.service) for depth, span in trace.walk()]


@pytest.mark.parametrize("named", [True, False], ids=["by the environment", "nowhere"])
def test_a_script_prints_the_command_that_shows_its_trace(named: bool, store: str, tmp_path: Path) -> None:
    script = tmp_path / "backup.py"
    script.write_text(SCRIPT)
    environ = {**os.environ, **({CONNECTION_STRING: store} if named else {})}

    def run(*command: str) -> Any:
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=True, timeout=60)

    done = run(sys.executable, "-W", "ignore", str(script))
    base_id = done.stdout.strip()
    told, _, command = done.stderr.strip().partition("; to see it: ")
    assert told == f"osprofiler: trace {base_id}"
    program, *words = shlex.split(command)
    assert program == "osprofiler"
    shown = run(sys.executable, "-m", "osprofiler.cmd.shell", *words).stdout
    assert base_id in shown
    assert "backup.py [backup.py]" in shown
    assert "step [backup.py]" in shown
    assert (tmp_path / "traces.db").exists() == named


def test_the_store_of_the_argument_is_in_the_command(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with profiler.client_trace(KEY, store, name="night run") as base_id:
        pass
    told = capsys.readouterr().err
    assert told == (
        f"osprofiler: trace {base_id}; to see it: osprofiler trace show {base_id} --connection-string {store}\n"
    )
    command = shlex.split(told.partition("; to see it: ")[2])
    assert shell.main(command[1:]) == 0
    assert "night run" in capsys.readouterr().out


def test_it_is_the_current_trace_and_signs_with_the_key(store: str) -> None:
    with profiler.client_trace(KEY, store, quiet=True) as base_id:
        here = profiler.get()
        assert here is not None
        assert (here.get_base_id(), here.hmac_key) == (base_id, KEY)
        assert "X-Trace-HMAC" in web.get_trace_id_headers()
    assert profiler.get() is None
    assert notifier.get() is notifier._noop_notifier


def test_it_is_quiet_if_told_so(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with profiler.client_trace(KEY, store, quiet=True):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fault", [ValueError("no disk"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_the_block_raises_passes_and_is_an_error(
    fault: BaseException, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(fault)) as caught, profiler.client_trace(KEY, store, name="run") as base_id:
        raise fault
    assert caught.value is fault
    assert base_id in capsys.readouterr().err
    assert stored(store, base_id).roots[0].error == type(fault).__name__


def test_inside_a_process_with_a_store_it_goes_there(store: str) -> None:
    configured = notifier.create(store, project="nova", service="api", host="h")
    notifier.set(configured)
    profiler.init("another key")
    before = profiler.get()
    with profiler.client_trace(KEY, name="run", quiet=True) as base_id:
        pass
    assert profiler.get() == before
    assert notifier.get() is configured
    profiler.clean()
    assert tree(stored(store, base_id)) == [(0, "run", "api")]


def test_a_store_that_cannot_be_used_stops_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ran = []
    with profiler.client_trace(KEY, "nonsense://user:hunter2@host") as base_id:
        ran.append(base_id)
    assert ran == [base_id]
    told = capsys.readouterr().err + caplog.text
    assert f"osprofiler: trace {base_id} is not stored" in told
    assert "no driver for" in told
    assert "hunter2" not in told


def test_no_password_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    url = "redis://:hunter2@127.0.0.1:9/0"
    config.publish(flush_timeout_s=0.05)
    with profiler.client_trace(KEY, url, name="run") as base_id:
        pass
    made = notifier.create(url, project=None, service="run", host=os.uname().nodename)
    assert isinstance(made, notifier.StoreNotifier)
    made.reporter.close()
    told = capsys.readouterr().err
    assert base_id in told
    assert "not all of it was delivered" in told
    assert "hunter2" not in told
