# SPDX-License-Identifier: Apache-2.0
"""What every server has in common: a folder, ports, a process, and the wait until it answers."""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar, TypeVar

from tests.servers import keeper
from tests.waiting import wait_until

# Below the range from which the kernel takes ports of outgoing connections, so that none of those is in the way.
_PORTS = range(23_000, 32_000)
_random = random.SystemRandom()  # a test that seeds `random` must not make two runs choose the same ports
_given: set[int] = set()


class Missing(Exception):
    """The server is not installed on this machine; the text says what to do."""


class StartFailed(RuntimeError):
    """The server's process ended, or did not answer in time; the text holds the end of its log."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free for TCP and for UDP at this moment, and another one each time."""
    while True:
        port = _random.choice(_PORTS)
        if port in _given:
            continue
        with contextlib.suppress(OSError), contextlib.ExitStack() as sockets:
            for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                sockets.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            _given.add(port)
            return port


def program(*candidates: str, install: str) -> str:
    """Return the path of the first program there is, looking into the system folders that PATH may leave out.

    Raises Missing with the Debian package to *install*.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    for name in candidates:
        if found := shutil.which(name, path=path):
            return found
    raise Missing(f"{candidates[0]} is not installed: run tools/setup-debian, or install Debian's {install}")


def built(tool: str, *arguments: str) -> str:
    """Return what a build script of ``tools/`` has made. Raises Missing if that is yet to be done."""
    path = Path(__file__).resolve().parents[2] / "tools" / tool
    found = subprocess.run([str(path), *arguments, "--where"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise Missing(f"tools/{tool} has not been run")
    return found.stdout.strip()


S = TypeVar("S", bound="Server")


class Server:
    """One server process with its data in a temporary folder; ports and data outlive a restart.

    Subclasses say what to run and when it answers. Used as a context manager it is started, and gone at the end.
    """

    name: ClassVar[str]
    user: ClassVar[str] = ""  # the account to run as where we are root and the server refuses to be
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL
    start_timeout_s: ClassVar[float] = 120

    def __init__(self) -> None:
        self.check()
        self.directory = Path(tempfile.mkdtemp(prefix=f"osprofiler-{self.name}-"))
        self.directory.chmod(0o711)  # the server's own account must get through to its data
        keeper.remember("folder", self.directory)
        self.data = self.directory / "data"
        self.data.mkdir(0o700)
        if self._other_account:
            shutil.chown(self.data, self.user, pwd.getpwnam(self.user).pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    # What a subclass gives.

    @classmethod
    def check(cls) -> None:
        """Raise Missing if this machine cannot run the server."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Return the connection string by which a service reaches the server."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Make the data folder's content, once, before the first start."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {}

    def _answers(self) -> bool:
        """Return whether the server serves; a refused connection (OSError) counts as no."""
        raise NotImplementedError

    # What everyone uses.

    def start(self) -> None:
        """Start the server and return when it answers. Raises StartFailed."""
        if not self._prepared:
            self._prepare()
            self._prepared = True
        self._process = process = self._spawn(self._command())

        def answers() -> bool:
            if process.poll() is not None:
                raise StartFailed(f"{self.name} ended with status {process.returncode}:\n{self.log_tail()}")
            return self.serves()

        try:
            wait_until(answers, self.start_timeout_s, self.name)
        except TimeoutError as late:
            raise StartFailed(f"{late}:\n{self.log_tail()}") from late

    def serves(self) -> bool:
        """Return whether the server answers a client at this moment."""
        try:
            return self._answers()
        except OSError:
            return False

    def stop(self) -> None:
        """Shut the server down in its orderly way; nothing happens if it does not run."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server as a crash does: connections break, nothing is saved."""
        self._end(self.kill_signal)

    def restart(self) -> None:
        """Stop and start, on the same ports and, where the server keeps any, with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        keeper.forget("folder", self.directory)

    def __enter__(self: S) -> S:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def peak_bytes(self) -> int:
        """Return the most memory that the server's process has used since its start; it must run, on Linux."""
        status = (self._proc / "status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))

    @property
    def processor_s(self) -> float:
        """Return the processor time that the server's process has used since its start; it must run, on Linux."""
        user, system = (int(_field(self._proc / "stat", number)) for number in (11, 12))
        return (user + system) / os.sysconf("SC_CLK_TCK")

    @property
    def _proc(self) -> Path:
        assert self._process is not None, f"{self.name} does not run"
        return Path(f"/proc/{self._process.pid}")

    def log_tail(self, lines: int = 30) -> str:
        """Return the last *lines* of what the server wrote."""
        log = self.directory / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    # For subclasses.

    @property
    def _other_account(self) -> bool:
        return bool(self.user) and os.geteuid() == 0

    def _as_account(self, command: list[str]) -> list[str]:
        if not self._other_account:
            return command
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *command]

    def _spawn(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                self._as_account(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env={**os.environ, "HOME": str(self.data), **self._environment()},
                start_new_session=True,  # Ctrl-C in a terminal is for the tests, which then stop their servers
            )
        keeper.remember("group", process.pid)
        return process

    def _run(self, command: list[str]) -> None:
        """Run a server's own tool to its end. Raises StartFailed, with its output, if it fails."""
        done = subprocess.run(
            self._as_account(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.data,
            env={**os.environ, "HOME": str(self.data), **self._environment()},
            check=False,
            timeout=self.start_timeout_s,
        )
        if done.returncode:
            raise StartFailed(f"{command[0]}: status {done.returncode}:\n{done.stdout.decode(errors='replace')}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_group(process, how)


def end_group(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End *process* by *how*, and then whatever is left of its process group."""
    with contextlib.suppress(ProcessLookupError):
        if how is signal.SIGKILL:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
    with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed with the rest
        process.wait(timeout=30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # A start script's own child, such as Erlang's machine, is not ours to wait for; its ports are free when it is gone.
    wait_until(lambda: not _lives(process.pid), what=f"the end of process group {process.pid}")
    keeper.forget("group", process.pid)


def _lives(group: int) -> bool:
    """Return whether any process of the *group* still runs; one that waits for its parent to collect it does not."""
    return any(
        # Each thread is asked: a killed process looks ended as soon as its first thread has, its sockets still open.
        _field(task, 0) not in "ZX"
        for process in Path("/proc").glob("[0-9]*/stat")
        if _field(process, 2) == str(group)
        for task in process.parent.glob("task/*/stat")
    )


def _field(stat: Path, number: int) -> str:
    """Return a field of a /proc stat file, counted from the state; "X", which is dead, if it has gone meanwhile."""
    try:
        return stat.read_text(errors="replace").rpartition(")")[2].split()[number]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
