# SPDX-License-Identifier: Apache-2.0
"""Commands in terminals of any width and encoding, without a reader, interrupted, and on what other tracers wrote."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from osprofiler.cmd import shell
from osprofiler.drivers import base
from osprofiler.reports.views import columns
from osprofiler.testing.records import OTHER, TRACE, record
from tests.unit.test_cli import OSPROFILER

MESSAGE = "No valid host was found: größer als erlaubt. There are not enough hosts available for 服务器."
SERVICES = ["nova-api", "nova-conductor", "nova-scheduler", "nova-compute-größe", "placement-api", "glance-api"]


def records(base_id: str) -> list[dict[str, Any]]:
    """A trace with what is long: names, services, messages, levels; and what is not ASCII."""
    spans = []
    for i in range(1, 31):
        request = {"requests": {"hostname": "10.0.0.1", "port": 8774, "path": "/v2.1/servers/" + "0c5d9a54" * 9}}
        extra = {"operation": f"wsgi POST größe {i}"}
        spans.append(record(i, "start", i * 10, base_id, parent=i - 1, osprofiler=extra, **request))
        if i % 7:
            failed = {"etype": "NoValidHost", "message": MESSAGE} if i % 3 else {"requests": {"status_code": 404}}
            spans.append(record(i, "stop", 90_000 - i, base_id, parent=i - 1, **failed))
        for each in spans[-2:]:
            each["service"] = SERVICES[i % len(SERVICES)]
    return spans


def of_other_tracers() -> dict[str, Any]:
    """What Jaeger's UI saves of spans that OpenTelemetry sent, with less than ours have."""
    spans = [
        {
            "traceID": "ab" * 16, "spanID": f"{i:016x}", "operationName": "GET /v2/images/{image_id}",
            "processID": "p9", "startTime": 1_700_000_000_000_000 + i, "duration": 900 - i, "flags": 1,
            "references": [{"refType": "CHILD_OF", "traceID": "ab" * 16, "spanID": f"{i - 1:016x}"}] if i > 1 else [],
            "tags": [
                {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                {"key": "otel.status_description", "type": "string", "value": MESSAGE},
                {"key": "error", "type": "bool", "value": True},
                {"key": "http.response.status_code", "type": "int64", "value": 503},
                {"key": "url.full", "type": "string", "value": "http://größe.example:9292/v2/images"},
            ],
            "logs": [{"timestamp": 1_700_000_000_000_005, "fields": [{"key": "event", "value": "exception"}]}],
            "warnings": ["clock skew adjustment disabled; not applying calculated delta of 1ms"],
        }
        for i in range(1, 4)
    ]  # fmt: skip
    spans[1].update(tags=None, logs=None, warnings=None)
    return {"data": [{"traceID": "ab" * 16, "spans": spans, "processes": {}, "warnings": None}], "errors": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("terminal")
    driver = base.get_driver(f"sqlite:///{made}/traces.db")
    driver.write(records(TRACE) + records(OTHER))
    (made / "other.json").write_text(json.dumps(of_other_tracers()))
    span = {"traceID": "1", "spanID": "2", "operationName": "größe", "startTime": 5, "duration": 7}
    failed = [{"key": "error", "value": f"timeout after\n3 s {MESSAGE}"}, {"key": "http.status_code", "value": 404}]
    (made / "one.json").write_text(json.dumps({"spans": [{**span, "tags": failed}]}))
    (made / "größe.yaml").write_text(POLICY, "utf-8")
    (made / "größe.conf").write_text(CONFIGURATION.format(folder=made), "utf-8")
    return made


CONFIGURATION = """
[profiler]
enabled = true
hmac_keys = a key that is long enough, ein Schlüssel von großer Größe
größe = 1
sampler = ratelimiting:2
policy_file = {folder}/größe.yaml
connection_string = sqlite:///{folder}/traces.db
"""


POLICY = """
services:
  nova-größe-*:
    sampler: probabilistic:0.1
    operations: {"wsgi GET größe": "const:1"}
"""

COMMANDS = [
    ["trace", "list"],
    ["trace", "list", "--long"],
    ["trace", "list", "--long", "--http-status", "404"],
    ["trace", "show", TRACE],
    ["trace", "show", "{folder}/other.json"],
    ["trace", "show", "{folder}/one.json"],
    ["trace", "critical-path", TRACE],
    ["trace", "critical-path", TRACE, "--sections", "--whole"],
    ["trace", "critical-path", "{folder}/other.json"],
    ["trace", "stats"],
    ["trace", "stats", "{folder}/other.json"],
    ["trace", "diff", TRACE, "{folder}/other.json"],
    ["policy", "check", "{folder}/größe.yaml"],
    ["policy", "check", "{folder}/größe.yaml", "--service", "nova-größe-1"],
    ["patch", "list"],
    ["doctor", "--config-file", "{folder}/größe.conf", "--service", "nova-größe-1"],
]
WIDTHS = [40, 60, 80, 200]


# What a user may or may not have set. Unbuffered, nothing is left to be written when Python ends.
PERSONAL = ("COLUMNS", "NO_COLOR", "LC_ALL", "PYTHONUNBUFFERED")


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in PERSONAL}
    return {**kept, "OSPROFILER_CONNECTION_STRING": f"sqlite:///{folder}/traces.db", **more}


@contextmanager
def terminal(width: int) -> Iterator[tuple[int, list[bytes]]]:
    """A terminal of *width* columns: its end for a program, and what has been written there once it is closed."""
    main, worker = pty.openpty()
    fcntl.ioctl(worker, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    written: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(main, 65536):
                written.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield worker, written
    finally:
        os.close(worker)
        reader.join()
        os.close(main)


def on_terminal(args: list[str], width: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command writes to a terminal of *width* columns, run in this process."""
    complaints = io.StringIO()
    with (
        terminal(width) as (end, written),
        open(end, "w", encoding=encoding, closefd=False) as stream,
        monkeypatch.context() as patch,
    ):
        for name in "stdout", "__stdout__":  # the window's size is that of the latter
            patch.setattr(sys, name, stream)
        patch.setattr(sys, "stderr", complaints)
        assert shell.main(args) == 0
    assert complaints.getvalue() == ""
    return b"".join(written).decode()


def check(written: str, width: int, encoding: str) -> None:
    lines = re.sub(r"\x1b\[\d+m", "", written).splitlines()
    assert lines
    assert max(map(columns.width, lines)) <= width
    assert encoding != "ascii" or (written.isascii() and "\x1b" not in written)


MODES = pytest.mark.parametrize(
    ("encoding", "more"),
    [("utf-8", {}), ("ascii", {"LANG": "C", "NO_COLOR": "1"})],
    ids=["colour", "no-colour-ascii"],
)


@MODES
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_line_is_longer_than_the_terminal(
    command: list[str], width: int, encoding: str, more: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, value in environment(folder, TERM="xterm", **more).items():
        monkeypatch.setenv(name, value)
    args = [arg.format(folder=folder) for arg in command]
    check(on_terminal(args, width, encoding, monkeypatch), width, encoding)


@MODES
def test_a_process_of_its_own_on_a_terminal(
    encoding: str, more: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns width, encoding and colour from its surroundings, and shows what the tests above see."""
    env = environment(folder, TERM="xterm", PYTHONIOENCODING=encoding, **more)
    with terminal(60) as (end, written):
        command = [*OSPROFILER, "trace", "show", TRACE]
        done = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    alone = b"".join(written).decode()
    check(alone, 60, encoding)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert alone == on_terminal(["trace", "show", TRACE], 60, encoding, monkeypatch)


# Runs commands each in a process of its own, forked once the modules are there; such a one ends as any other does.
UNREAD = """
import gc, json, os, sys
import sqlalchemy, yaml
import osprofiler.reports, osprofiler.web
from osprofiler.cmd import shell
from osprofiler.drivers import base
base.get_driver(os.environ["OSPROFILER_CONNECTION_STRING"])
sqlalchemy.create_engine("sqlite://")
gc.freeze()  # a child that ends does not look through all of it
reader, writer = os.pipe()
os.close(reader)
done = []
for args, stream in json.load(sys.stdin):
    complaints, end = os.pipe()
    child = os.fork()
    if child == 0:
        for fd in 1, 2:
            os.dup2(end if fd == 2 else os.open(os.devnull, os.O_WRONLY), fd)
        os.dup2(writer, {"stdout": 1, "stderr": 2}[stream])
        os.close(end)
        os.close(writer)
        sys.exit(shell.main(args))
    os.close(end)
    with open(complaints) as pipe:
        text = pipe.read()
    done.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text])
os.write(1, json.dumps(done).encode())
"""
UNREAD_COMMANDS = [*COMMANDS, ["trace", "show", "--help"]]
STREAMS = ["stdout", "stderr"]


@pytest.fixture(scope="module")
def unread(folder: Path) -> dict[tuple[str, str], list[Any]]:
    """Status and complaints of each command that writes one of its streams into a pipe that nobody reads."""
    asked = [(command, stream) for command in UNREAD_COMMANDS for stream in STREAMS]
    given = json.dumps([([arg.format(folder=folder) for arg in command], stream) for command, stream in asked])
    command = [sys.executable, "-c", UNREAD]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment(folder), check=True)
    answers = json.loads(done.stdout)
    return {(" ".join(command), stream): answer for (command, stream), answer in zip(asked, answers, strict=True)}


@pytest.mark.parametrize("command", UNREAD_COMMANDS, ids=" ".join)
@pytest.mark.parametrize("stream", STREAMS)
def test_nobody_reads(command: list[str], stream: str, unread: dict[tuple[str, str], list[Any]]) -> None:
    assert unread[" ".join(command), stream] == [0, ""]


@pytest.mark.parametrize("stream", STREAMS)
def test_nobody_reads_a_process_of_its_own(stream: str, folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    command = [*OSPROFILER, "trace", "show", TRACE]
    done = subprocess.run(command, env=environment(folder), check=False, **streams)
    os.close(writer)
    assert done.returncode == 0
    assert stream == "stderr" or done.stderr == b""


INTERRUPTING = """
import signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "module", ["osprofiler.cmd.patch", "osprofiler.drivers.base", "osprofiler.reports.views.tree", "sqlalchemy"]
)
def test_ctrl_c_while_modules_are_imported(module: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING.format(module=module))
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    env = environment(folder, PYTHONPATH=path)
    script = ["-c", "import sys; from osprofiler.cmd.shell import main; sys.exit(main())", "trace", "list"]
    for args in [OSPROFILER[0], *script], [*OSPROFILER, "trace", "list"]:
        done = subprocess.run(args, env=env, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize(
    ("args", "program"),
    [
        (["trace", "list", "--nonsense"], "osprofiler trace list"),
        (["trace", "show", "an-id", "--nonsense"], "osprofiler trace show"),
        (["trace", "--nonsense", "list"], "osprofiler trace"),
        (["policy", "check", "a-file", "another"], "osprofiler policy check"),
        (["--nonsense", "patch", "list"], "osprofiler"),
    ],
)
def test_an_unknown_argument_points_at_the_help_of_its_command(
    args: list[str], program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.main(args)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"(see `{program} --help`)\n")
