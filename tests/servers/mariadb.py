# SPDX-License-Identifier: Apache-2.0
"""A MariaDB with an empty database, and a new one for each test that asks."""

import itertools
import socket
from typing import ClassVar

from tests.servers.base import Server, free_port, program

_PACKAGE = "mariadb-server"


class MariaDB(Server):
    """MariaDB with the account osp/osp, which may do everything."""

    name: ClassVar[str] = "mariadb"
    user: ClassVar[str] = "mysql"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self._numbers = itertools.count(1)

    @classmethod
    def check(cls) -> None:
        program("mariadbd", install=_PACKAGE)
        program("mariadb-install-db", install=_PACKAGE)

    @property
    def url(self) -> str:
        """Return the SQLAlchemy URL of the database that all share."""
        return self._url("osp")

    def fresh_url(self) -> str:
        """Return the SQLAlchemy URL of a new, empty database."""
        name = f"osp{next(self._numbers)}"
        client = program("mariadb", install=_PACKAGE)
        statement = f"CREATE DATABASE {name} CHARACTER SET utf8mb4"
        self._run([client, "--no-defaults", "-S", str(self.data / "socket"), "-uroot", "-e", statement])
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"mysql+pymysql://osp:osp@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def _prepare(self) -> None:
        tool = program("mariadb-install-db", install=_PACKAGE)
        system = f"--datadir={self.data}/mysql"
        self._run([tool, "--no-defaults", system, "--auth-root-authentication-method=normal", "--skip-test-db"])
        script = self.directory / "init.sql"
        script.write_text(
            "CREATE DATABASE IF NOT EXISTS osp CHARACTER SET utf8mb4;\n"
            "CREATE USER IF NOT EXISTS osp@'%' IDENTIFIED BY 'osp';\n"
            "GRANT ALL ON *.* TO osp@'%';\n"
        )
        script.chmod(0o644)

    def _command(self) -> list[str]:
        return [
            program("mariadbd", install=_PACKAGE),
            "--no-defaults",
            f"--datadir={self.data}/mysql",
            f"--init-file={self.directory}/init.sql",
            f"--socket={self.data}/socket",
            f"--pid-file={self.data}/pid",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",  # a commit survives the end of the server, not that of the machine
            "--innodb-buffer-pool-size=32M",
            "--max-connections=500",
        ]

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            return connection.recv(5)[4:] == b"\x0a"  # a greeting of protocol 10, not a refusal
