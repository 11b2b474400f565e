# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve`` where it cannot begin: one line that says what to do."""

import socket
import sys
from pathlib import Path

import pytest

from osprofiler.cmd import shell
from osprofiler.drivers import base
from osprofiler.testing.records import two_spans


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/traces.db"
    base.get_driver(made).write(two_spans())
    return made


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Paths of files, by what they hold."""
    for name, content in (
        ("empty", "\n"),
        ("short", "too short"),
        ("key", "a key of many characters"),
        ("binary", "\xff"),
    ):
        (tmp_path / name).write_bytes(content.encode("latin-1"))
    return {name: str(tmp_path / name) for name in ("empty", "short", "key", "binary", "none")}


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ("--connection-string nothing://user:secret@x", 2, "nothing://"),
        ("--connection-string jaeger+http://localhost:99999999", 2, "malformed connection string"),
        ("--connection-string otlp://localhost", 1, "cannot list traces"),
        ("--host 0.0.0.0", 2, "protect the traces with --password-file or --key-file"),
        ("--host example.org", 2, "protect the traces with --password-file or --key-file"),
        ("--key-file {short}", 2, "fewer than 16 characters"),
        ("--key-file {empty}", 2, "fewer than 16 characters"),
        ("--key-file {none}", 1, "No such file"),
        ("--key-file {binary}", 1, "it is not UTF-8"),
        ("--password-file {empty}", 2, "is not user:password"),
        ("--host 192.0.2.1 --key-file {key}", 1, "cannot listen on port 16686 of 192.0.2.1"),
        ("--host nowhere.invalid --key-file {key}", 1, "cannot listen on port 16686 of nowhere.invalid"),
        ("--ui {none}", 1, "--ui is the folder with the index.html"),
        ("--ui-config {empty}", 2, "--ui-config is for the UI of --ui"),
        ("--port 70000", 2, "a port from 0 to 65535"),
        ("--port x", 2, "a port from 0 to 65535"),
        ("--base-path x", 2, "a path like /jaeger"),
        ('--base-path /a"b', 2, "a path like /jaeger"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    arguments: str, status: int, text: str, url: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["serve", "--connection-string", url, *arguments.format(**files).split()]
    try:
        seen = shell.main(words)
    except SystemExit as ended:  # argparse ends the process
        seen = int(ended.code or 0)
    out, err = capsys.readouterr()
    assert (seen, out, err.count("\n")) == (status, "", 1), err
    assert text in err
    assert "secret" not in err


def test_a_port_in_use_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert shell.main(["serve", "--connection-string", url, "--port", str(port)]) == 1
    line = capsys.readouterr().err
    assert f"cannot listen on port {port} of 127.0.0.1: it is in use; choose another one with --port" in line


def test_without_its_library_it_says_what_to_install(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "waitress", None)
    assert shell.main(["serve", "--connection-string", url]) == 1
    assert "pip install 'osprofiler[serve]'" in capsys.readouterr().err
