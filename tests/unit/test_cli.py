# SPDX-License-Identifier: Apache-2.0
"""The command line as its users run it: a process, its output, one line on standard error, its exit status."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import osprofiler
from osprofiler.cmd import cliutils, commands, shell
from osprofiler.drivers import base
from osprofiler.reports import model
from osprofiler.reports.views import json_report
from osprofiler.testing.records import OTHER, TRACE, point, record, two_spans
from tests.unit.test_reports_model import chain

OSPROFILER = [sys.executable, "-m", "osprofiler.cmd.shell"]


def run(*args: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {key: value for key, value in os.environ.items() if not key.startswith("OSPROFILER_")}
    command = [*OSPROFILER, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**env, **environment}, timeout=120)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a file with two traces; the first has an error and an unfinished span."""
    url = f"sqlite:///{tmp_path / 'traces.db'}"
    driver = base.get_driver(url, project="neutron", service="neutron-server")
    driver.write([*two_spans(), record(3, "start", 600, parent=1), record(7, "start", 5_000_000, OTHER)])
    return url


def test_list(store: str) -> None:
    done = run("trace", "list", "--connection-string", store)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("|")] == ["base_id", TRACE, OTHER]


@pytest.mark.parametrize(("option", "count"), [(["--error-trace"], 1), (["--error-trace", "True"], 1), ([], 2)])
def test_list_of_errors(store: str, option: list[str], count: int) -> None:
    done = run("trace", "list", *option, OSPROFILER_CONNECTION_STRING=store)
    assert done.stdout.count("\n") == 4 + count


def test_show_draws_a_tree(store: str) -> None:
    done = run("trace", "show", TRACE, "--connection-string", store, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0
    assert "├─ neutron-api [neutron-server] (error ValueError)" in done.stdout
    assert "└─ neutron-api [neutron-server] (unfinished)" in done.stdout
    assert "\x1b" not in done.stdout


def test_show_where_only_ascii_is_understood(store: str) -> None:
    done = run("trace", "show", TRACE, "--connection-string", store, PYTHONIOENCODING="ascii")
    assert "|- neutron-api" in done.stdout
    assert done.stdout.isascii()


def test_show_on_a_terminal_is_coloured_and_fits(store: str) -> None:
    main, worker = pty.openpty()
    env = {**os.environ, "COLUMNS": "70", "TERM": "xterm", "OSPROFILER_CONNECTION_STRING": store}
    env.pop("NO_COLOR", None)
    with subprocess.Popen([*OSPROFILER, "trace", "show", TRACE], stdout=worker, env=env) as process:
        os.close(worker)
        printed = b""
        while chunk := _read(main):
            printed += chunk
        assert process.wait() == 0
    os.close(main)
    assert b"\x1b[31m" in printed


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


def test_show_json_is_the_report(store: str) -> None:
    done = run("trace", "show", TRACE, "--json", "--connection-string", store)
    assert json.loads(done.stdout) == base.get_driver(store).get_report(TRACE)


def test_a_file_is_as_good_as_an_id(store: str, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    assert run("trace", "show", TRACE, "--json", "--out", str(file), "--connection-string", store).returncode == 0
    for form in [], ["--json"], ["--html"], ["--dot"]:
        from_file = run("trace", "show", str(file), *form)
        from_store = run("trace", "show", TRACE, *form, "--connection-string", store)
        assert (from_file.returncode, from_file.stderr) == (0, "")
        assert from_file.stdout == from_store.stdout


def test_options_of_4_4_0_are_accepted(store: str) -> None:
    options = ["--transport-url", "rabbit://", "--idle-timeout", "5", "--html", "--local-libs"]
    done = run("trace", "show", TRACE, *options, "--connection-string", store)
    assert done.returncode == 0
    assert done.stdout.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("command", [["trace", "list"], ["demo"]])
def test_a_default_store_that_cannot_be_used_is_one_line(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "osprofiler").write_text("in its place")
    done = run(*command, XDG_STATE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "name another one with --connection-string" in done.stderr


def test_the_default_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    base.get_driver(base.default_connection_string()).write(two_spans())
    for args in ["trace", "list"], ["trace", "show", TRACE]:
        done = run(*args, XDG_STATE_HOME=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, f"osprofiler: from sqlite:///{tmp_path}/osprofiler/traces.db\n")


def test_a_deep_trace(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path / 'deep.db'}", tmp_path / "deep.json"
    base.get_driver(url).write(chain(10_000))
    for form in [], ["--html"], ["--dot"], ["--json", "--out", str(file)]:
        assert run("trace", "show", TRACE, *form, "--connection-string", url).stderr == ""
    assert run("trace", "show", str(file)).stdout.count("\n") == 10_002


BAD_USE = [
    (["trace", "show"], 2),
    (["trace", "list", "--nonsense"], 2),
    (["nonsense"], 2),
    (["trace", "nonsense"], 2),
    (["trace", "list", "--error-trace", "maybe"], 2),
    (["trace", "show", TRACE, "--idle-timeout", "soon"], 2),
    (["trace", "show", TRACE, "--json", "--html", "--connection-string", "{store}"], 2),
    (["trace", "list", "--connection-string", "unheardof://u:s3cret@h"], 2),
    (["trace", "list", "--connection-string", "sqlite://"], 2),
    (["trace", "list", "--connection-string", "nonsense"], 2),
    (["trace", "list", "--connection-string", "mysql+pymysql://u:s3cret@h:port/x"], 2),
    (["trace", "show", "{folder}/missing.json"], 2),
    (["trace", "show", "{folder}/not.json"], 2),
    (["trace", "show", "{folder}/list.json"], 2),
    (["trace", "show", "{folder}/binary.json"], 2),
    (["trace", "show", "{folder}"], 2),
    (["trace", "show", "{folder}/empty.json"], 1),
    (["trace", "list", "--connection-string", "sqlite:///{folder}/missing.db"], 1),
    (["trace", "list", "--connection-string", "sqlite:///{folder}/not.json"], 1),
    (["trace", "list", "--connection-string", "sqlite:///{folder}"], 1),
    (["trace", "list", "--connection-string", "mysql+pymysql://u:s3cret@127.0.0.1:1/x"], 1),
    (["trace", "show", "00000000-0000-4000-8000-000000000000", "--connection-string", "{store}"], 1),
    (["trace", "show", "no-such-trace", "--connection-string", "{store}"], 1),
    (["trace", "show", TRACE, "--out", "{folder}/missing/x", "--connection-string", "{store}"], 1),
    (["trace", "show", TRACE, "--out", "{folder}", "--connection-string", "{store}"], 1),
]


@pytest.mark.parametrize(("args", "status"), BAD_USE, ids=[" ".join(args) for args, _ in BAD_USE])
def test_what_goes_wrong_is_one_line(args: list[str], status: int, store: str, tmp_path: Path) -> None:
    (tmp_path / "not.json").write_text("no JSON, and no database " * 20)
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.json").write_text('{"info": {}, "children": []}')
    done = run(*(arg.format(store=store, folder=tmp_path) for arg in args))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done.stderr
    assert done.stderr.startswith("osprofiler")
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("args", [[], ["trace"]])
def test_without_a_command_help_is_shown(args: list[str]) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "list" in done.stderr or "demo" in done.stderr


@pytest.mark.parametrize("args", [["trace", "list"], ["trace", "show"], []])
def test_help_has_examples(args: list[str]) -> None:
    done = run(*args, "--help")
    assert done.returncode == 0
    assert "examples:\n  osprofiler" in done.stdout


def test_the_version() -> None:
    assert run("--version").stdout == f"{osprofiler.__version__}\n"


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'many.db'}"
    base.get_driver(url).write([record(i, "start", i, text="x" * 100) for i in range(1, 3_000)])
    command = [*OSPROFILER, "trace", "show", TRACE, "--json", "--connection-string", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize("end", ["<&-", "</dev/null"])
def test_standard_input_may_be_closed_or_empty(end: str) -> None:
    command = ["sh", "-c", f'"$@" {end}', "sh", *OSPROFILER, "trace", "stats", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("osprofiler: standard input holds no readable trace: it is not JSON")


def test_standard_error_may_be_closed(tmp_path: Path) -> None:
    (tmp_path / "osprofiler").mkdir()
    base.get_driver(f"sqlite:///{tmp_path}/osprofiler/traces.db").write(two_spans())
    command = ["sh", "-c", '"$@" 2>&-', "sh", *OSPROFILER, "trace", "show", TRACE, "--json"]
    done = subprocess.run(
        command, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)}, stdout=subprocess.PIPE, check=True
    )
    assert json.loads(done.stdout)["info"]["base_id"] == TRACE


class OldDriver(base.Driver):
    """As written for 4.4.0: it has no ``read``."""

    @classmethod
    def get_name(cls) -> str:
        return "olddriver"

    def get_report(self, base_id: str) -> dict[str, Any]:
        if base_id == "broken":
            raise RuntimeError("the store\nis broken")
        report = json_report.report(model.from_records(two_spans() if base_id == TRACE else []))
        return {**report, "more": "of its own"}


def test_the_report_of_an_old_driver_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", "show", TRACE, "--json", "--connection-string", "olddriver://"]) == 0
    assert json.loads(capsys.readouterr().out)["more"] == "of its own"
    assert shell.main(["trace", "show", TRACE, "--dot", "--connection-string", "olddriver://"]) == 0


@pytest.mark.parametrize("args", [["show", OTHER], ["show", "broken"], ["list"]])
def test_an_old_driver_that_cannot(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", *args, "--connection-string", "olddriver://"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_groups_of_other_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Greetings(commands.BaseCommand):
        """Greet."""

        group_name = "greet"

        @cliutils.arg("--loud", action="store_true")
        @cliutils.arg("name")
        def say_hello(self, args: Any) -> None:
            print(f"hello {args.name}{'!' * args.loud}")

    monkeypatch.setattr(commands.BaseCommand, "__subclasses__", lambda: [Greetings])
    assert shell.main(["greet", "say-hello", "you", "--loud"]) == 0
    assert capsys.readouterr().out == "hello you!\n"


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND", "2")
    monkeypatch.setenv("EMPTY", "")
    assert cliutils.env("EMPTY", "SECOND", default="x") == "2"
    assert (cliutils.env("EMPTY"), cliutils.env("EMPTY", default="x")) == ("", "x")


def test_drawing(store: str, tmp_path: Path) -> None:
    done = run("trace", "show", TRACE, "--render-dot", str(tmp_path / "graph"), "--connection-string", store)
    drawn = tmp_path / "graph.pdf"
    if done.returncode == 0:
        assert drawn.read_bytes().startswith(b"%PDF")
        assert done.stdout == ""
    else:
        assert "install graphviz" in done.stderr
    assert point(1) not in done.stderr
