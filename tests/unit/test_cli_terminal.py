# SPDX-License-Identifier: Apache-2.0
"""Commands in terminals of any width and encoding, without a reader, interrupted, and on what other tracers wrote."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
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
    return made


COMMANDS = [
    ["trace", "list"],
    ["trace", "list", "--long"],
    ["trace", "show", TRACE],
    ["trace", "show", "{folder}/other.json"],
    ["trace", "critical-path", TRACE],
    ["trace", "critical-path", TRACE, "--sections"],
    ["trace", "critical-path", "{folder}/other.json"],
    ["trace", "stats"],
    ["trace", "stats", "{folder}/other.json"],
    ["trace", "diff", TRACE, "{folder}/other.json"],
    ["patch", "list"],
]


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "LC_ALL")}
    return {**kept, "OSPROFILER_CONNECTION_STRING": f"sqlite:///{folder}/traces.db", **more}


def on_terminal(args: list[str], width: int, env: dict[str, str]) -> str:
    """What the command writes to a terminal of *width* columns."""
    main, worker = pty.openpty()
    fcntl.ioctl(worker, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen([*OSPROFILER, *args], stdout=worker, stderr=subprocess.PIPE, env=env) as process:
        os.close(worker)
        written = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            written += chunk
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait() == 0
    os.close(main)
    return written.decode()


@pytest.mark.parametrize(
    ("encoding", "more"),
    [("utf-8", {}), ("ascii", {"LANG": "C", "NO_COLOR": "1"})],
    ids=["colour", "no-colour-ascii"],
)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_line_is_longer_than_the_terminal(
    command: list[str], width: int, encoding: str, more: dict[str, str], folder: Path
) -> None:
    env = environment(folder, TERM="xterm", PYTHONIOENCODING=encoding, **more)
    written = on_terminal([arg.format(folder=folder) for arg in command], width, env)
    lines = re.sub(r"\x1b\[\d+m", "", written).splitlines()
    assert lines
    assert max(map(columns.width, lines)) <= width
    assert encoding != "ascii" or written.isascii()


@pytest.mark.parametrize("command", [*COMMANDS, ["trace", "show", "--help"]], ids=" ".join)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nobody_reads(command: list[str], stream: str, folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = environment(folder)
    args = [*OSPROFILER, *(arg.format(folder=folder) for arg in command)]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    done = subprocess.run(args, env=env, check=False, **streams)
    os.close(writer)
    assert done.returncode == 0
    assert stream == "stderr" or done.stderr == b""


INTERRUPTING = """
import signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is ignored
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
