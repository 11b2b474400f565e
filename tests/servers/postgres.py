# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL with an empty database, and a new one for each test that asks."""

import itertools
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.servers.base import Missing, Server, free_port


class Postgres(Server):
    """PostgreSQL with the superuser osp, who needs a password unless he comes through the socket."""

    name: ClassVar[str] = "postgres"
    user: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": do not wait for clients to go
    # "immediate": for clients and data it is a crash, but no backend is left behind that holds the memory which the
    # next start needs.
    kill_signal: ClassVar[signal.Signals] = signal.SIGQUIT

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self._numbers = itertools.count(1)

    @classmethod
    def check(cls) -> None:
        _programs()

    @property
    def url(self) -> str:
        """Return the SQLAlchemy URL of the database that all share."""
        return self._url("postgres")

    def fresh_url(self) -> str:
        """Return the SQLAlchemy URL of a new, empty database."""
        name = f"osp{next(self._numbers)}"
        self._run([str(_programs() / "createdb"), "-h", str(self.data), "-p", str(self.port), "-U", "osp", name])
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://osp:osp@127.0.0.1:{self.port}/{database}"

    def _prepare(self) -> None:
        password = self.directory / "password"
        password.write_text("osp")
        password.chmod(0o644)
        who = ["-U", "osp", "-A", "trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        how = ["-N", "-E", "UTF8", "--locale=C.UTF-8"]
        self._run([str(_programs() / "initdb"), "-D", str(self.data / "cluster"), *who, *how])

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.data),
            "max_connections": "300",
            # A commit survives the end of the server, not that of the machine.
            "fsync": "off",
            "full_page_writes": "off",
        }
        command = [str(_programs() / "postgres"), "-D", str(self.data / "cluster"), "-p", str(self.port)]
        return command + [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]

    def _answers(self) -> bool:
        asked = [str(_programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "osp"]
        return subprocess.run(asked, check=False).returncode == 0


def _programs() -> Path:
    """Return the folder of the newest PostgreSQL: Debian keeps the server's programs off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    raise Missing("PostgreSQL is not installed: run tools/setup-debian, or install Debian's postgresql")
