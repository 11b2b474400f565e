# SPDX-License-Identifier: Apache-2.0
"""The shipped profiles of libraries, on the real libraries."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from oslo_concurrency import processutils

from osprofiler import config
from osprofiler.instrumentation import points
from osprofiler.testing import recording
from tests import conftest

PROGRAM = Path(__file__).parent / "programs" / "ssh_server.py"
DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"

pytestmark = pytest.mark.usefixtures("osprofiler_process")

Use = Callable[[str], None]


@pytest.fixture
def use() -> Iterator[Use]:
    """Put the points of the profile of this name in place."""

    def use(name: str) -> None:
        points.follow("shop", config.Settings(enabled=True, points=(name,), trace_drivers=True))

    yield use
    points.follow("shop", config.Settings())


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[int]:
    """The port of an SSH server that has one file, ``hello``."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "hello").write_text("hello")
    command = [sys.executable, str(PROGRAM), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()


def test_ssh(use: Use, ssh: int, tmp_path: Path) -> None:
    use("paramiko")
    with paramiko.SSHClient() as client, recording() as spans:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())

        def connect(password: str) -> None:
            client.connect("127.0.0.1", ssh, "user", password, allow_agent=False, look_for_keys=False)

        with pytest.raises(paramiko.AuthenticationException):
            connect("wrong")
        connect("secret")
        assert processutils.ssh_execute(client, "show volumes", binary=True)[0] == b"show volumes"
        with client.open_sftp() as files:
            files.get("/hello", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "hello"
    refused, connected, began, command, *sftp = spans
    assert [span.operation for span in (refused, connected)] == ["paramiko.client.SSHClient.connect"] * 2
    assert (refused.error, connected.error) == ("paramiko.ssh_exception.AuthenticationException", None)
    assert began.operation == "paramiko.client.SSHClient.exec_command"
    assert command.operation == "oslo_concurrency.processutils.ssh_execute"
    assert began.parent_id == command.point_id
    assert [span.operation.rpartition(".")[2] for span in sftp] == ["from_transport", "stat", "open", "getfo", "get"]
    assert "secret" not in str(spans)


@pytest.mark.slow  # libvirt is of Debian, so it is there for Debian's Python only
def test_libvirt(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its driver for tests, which has a domain and needs no hypervisor."""
    monkeypatch.setattr(sys, "path", [*sys.path, DEBIAN_PACKAGES])
    try:
        libvirt: Any = __import__("libvirt")
    except ImportError as error:
        conftest.missing(f"{error}; install python3-libvirt, and use Debian's Python")
    use("libvirt")
    with recording() as spans:
        connection = libvirt.open("test:///default")
        (domain,) = connection.listAllDomains()
        assert domain.name() == "test"
        domain.destroy()
        domain.create()
        with pytest.raises(libvirt.libvirtError):
            domain.create()
        connection.close()
    operations = [span.operation for span in spans]
    methods = ("virConnect.listAllDomains", "virDomain.destroy", "virDomain.create", "virDomain.create")
    assert operations == ["libvirt.open", *(f"libvirt.{each}" for each in methods), "libvirt.virConnect.close"]
    assert [span.error for span in spans] == [None] * 4 + ["libvirt.libvirtError", None]
