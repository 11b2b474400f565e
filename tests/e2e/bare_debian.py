# SPDX-License-Identifier: Apache-2.0
"""A Debian 12 with nothing installed, in a folder: where tests do what a new user does on a new machine."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests import environments
from tests.servers.base import end_group
from tests.waiting import wait_until

_TREE = "debian.tar"
#: How the machine reaches its mirrors and package indexes: files and variables that it may have.
_NETWORK_FILES = (
    "/etc/apt/auth.conf",
    "/etc/apt/auth.conf.d",
    "/etc/hosts",
    "/etc/maven/settings.xml",
    "/etc/pip.conf",
    "/etc/resolv.conf",
    "/usr/local/share/ca-certificates",
)
_NETWORK_VARIABLES = (
    "GOPROXY",
    "GOSUMDB",
    "PIP_",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
#: What ``make jaeger`` and ``make stores`` have built for the machine's own tests is not built again.
_BUILT = ("ferretdb", "go", "jaeger", "java")

# Mounts and processes of their own: both end with the command.
_ISOLATED = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
# Java looks for the mount point of ``/``, so the folder is made one. As process 1 the shell would not end by a signal
# that it has no trap for. Ctrl-C reaches what it runs.
_SHELL = """
trap : INT
mount --bind "$1" "$1" &&
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs shm "$1/dev/shm" || exit 125
chroot "$1" /bin/bash -ec "$2"
"""


class NotPossible(Exception):
    """The machine cannot make or run a Debian in a folder; the text says why, in one line."""


class BareDebian:
    """The Debian in *folder*. Each command runs as root, in a shell of its own, and leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "root"
        self._environment = {
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND": "noninteractive",
            **{name: value for name, value in os.environ.items() if name.upper().startswith(_NETWORK_VARIABLES)},
        }

    def run(self, command: str, timeout_s: float = 1_800, **environment: str) -> str:
        """Run *command* to its end and return what it printed. Raises AssertionError with that if it fails."""
        process = self._start(command, environment)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except BaseException:
            end_group(process, signal.SIGKILL)
            raise
        printed = output.decode(errors="replace")
        assert process.returncode == 0, f"{command}: status {process.returncode}:\n{printed[-8_000:]}"
        return printed

    @contextlib.contextmanager
    def running(self, command: str, ready: str, timeout_s: float = 1_800) -> Iterator[str]:
        """Run *command* until it prints *ready*, give what it has printed by then, and end it with Ctrl-C."""
        process = self._start(command, {})
        lines: list[str] = []
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        try:
            wait_until(lambda: _has(ready, lines) or process.poll() is not None, timeout_s, f"{ready!r} of {command}")
            assert _has(ready, lines), f"{command}: ended:\n{''.join(lines)[-8_000:]}"
            yield "".join(lines)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=120)
            assert "Traceback" not in "".join(lines), "".join(lines)[-8_000:]
        finally:
            end_group(process, signal.SIGKILL)
            reader.join()

    def _start(self, command: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*_ISOLATED, "/bin/bash", "-c", _SHELL, "bash", str(self.folder), command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self._environment, **environment},
            start_new_session=True,
        )


def _read(process: "subprocess.Popen[bytes]", lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.decode(errors="replace"))


def _has(text: str, lines: list[str]) -> bool:
    return any(text in line for line in lines)


@contextlib.contextmanager
def bare_debian(folder: Path) -> Iterator[BareDebian]:
    """A new Debian in *folder*, which is removed at the end. Raises NotPossible."""
    if os.geteuid() != 0:
        raise NotPossible("a Debian in a folder needs root")
    if not shutil.which("debootstrap"):
        raise NotPossible("debootstrap is not installed: run tools/setup-debian debootstrap")
    if subprocess.run([*_ISOLATED, "true"], check=False, capture_output=True).returncode:
        raise NotPossible("unshare may not make mounts and processes of their own here")
    try:
        base = environments.once("debian-bookworm", _make)
    except environments.NotMade as fault:
        raise NotPossible(f"debootstrap made no Debian: {str(fault).splitlines()[-1]}") from None
    folder.mkdir()
    try:
        environments.run(["tar", "-C", str(folder), "-xpf", str(base / _TREE)])
        _hand_in_network(folder)
        _hand_in_builds(folder)
        yield BareDebian(folder)
    finally:
        environments.run(["rm", "-rf", str(folder)])  # gigabytes: faster than shutil


def _make(kept: Path) -> None:
    tree = kept / "tree"
    environments.run(["debootstrap", "--variant=minbase", "bookworm", str(tree), _mirror()])
    environments.run(["tar", "-C", str(tree), "-cf", str(kept / _TREE), "."])
    shutil.rmtree(tree)


def _mirror() -> str:
    """The mirror that this machine takes Debian's packages from. Raises NotPossible."""
    if not shutil.which("apt-get"):
        raise NotPossible("no apt here that knows a mirror of Debian")
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Label: Debian"]
    sites = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    if not sites:
        raise NotPossible("apt knows no mirror of Debian here: run apt-get update")
    return sites[0]


def _hand_in_network(folder: Path) -> None:
    certificates = [
        os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if name in os.environ
    ]
    for name in [*_NETWORK_FILES, *certificates]:
        source, copy = Path(name), folder / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, copy, dirs_exist_ok=True)
        elif source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    # Of apt's settings only how it fetches: others name programs that are not there. The user answers yes.
    settings = subprocess.run(["apt-config", "dump", "Acquire"], stdout=subprocess.PIPE, text=True, check=True).stdout
    fetching = [line for line in settings.splitlines() if not line.startswith("Acquire::IndexTargets")]
    (folder / "etc/apt/apt.conf.d/99machine").write_text("\n".join([*fetching, 'APT::Get::Assume-Yes "true";\n']))


def _hand_in_builds(folder: Path) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osprofiler"
    for name in _BUILT:
        if (cache / name).is_dir():
            shutil.copytree(cache / name, folder / "root/.cache/osprofiler" / name, symlinks=True)


def clone(machine: BareDebian) -> Path:
    """Put this repository, as it is now, where a user would clone it to, and return that folder."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=environments.REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
    )
    folder = machine.home / "osprofiler"
    for name in filter(None, listing.stdout.decode().split("\0")):
        source, copy = environments.REPOSITORY / name, folder / name
        if source.exists():  # one that was removed may still be listed
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    # The release notes are made from the history, so a clone has one.
    for arguments in (["init"], ["add", "--all"], ["commit", "--no-verify", "--message", "the state that is tested"]):
        environments.run(
            ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@localhost", *arguments]
        )
    return folder
