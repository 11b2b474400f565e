# SPDX-License-Identifier: Apache-2.0
"""Two servers that speak MongoDB's protocol: FerretDB, which keeps data in files, and mongo-java-server in memory.

What the first lacks (documents that expire by themselves) the second has; a real MongoDB has both.
"""

import itertools
import signal
import socket
import struct
from typing import ClassVar

from tests.servers import java
from tests.servers.base import Missing, Server, built, free_port

# isMaster in BSON: an int32 of 1 under that key, and the database it is asked of.
_ASKED = b"\x10isMaster\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"


class _Mongo(Server):
    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Return the connection string."""
        return f"mongodb://127.0.0.1:{self.port}"

    def fresh_name(self) -> str:
        """Return the name of a database that nobody has used."""
        return f"osp{next(self._numbers)}"

    def _answers(self) -> bool:
        document = struct.pack("<i", len(_ASKED) + 4) + _ASKED
        body = struct.pack("<iB", 0, 0) + document
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
            return b"ismaster" in connection.recv(65536).lower()


class FerretDB(_Mongo):
    """FerretDB on SQLite files."""

    name: ClassVar[str] = "ferretdb"

    @classmethod
    def check(cls) -> None:
        _binary()

    def _prepare(self) -> None:
        (self.data / "db").mkdir()

    def _command(self) -> list[str]:
        return [
            _binary(),
            f"--listen-addr=127.0.0.1:{self.port}",
            "--handler=sqlite",
            f"--sqlite-url=file:{self.data}/db/",
            f"--state-dir={self.data}",
            "--telemetry=disable",
            "--debug-addr=-",
            "--log-level=error",
        ]


class MongoJava(_Mongo):
    """mongo-java-server: all is lost at every stop."""

    name: ClassVar[str] = "mongo_java"
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # it has nothing to save

    @classmethod
    def check(cls) -> None:
        java.folder("mongo-java-server")

    def _command(self) -> list[str]:
        return java.command("mongo-java-server", str(self.port), megabytes=256)


def _binary() -> str:
    try:
        return built("ferretdb-build")
    except Missing:
        raise Missing("no FerretDB: set FERRETDB_BIN, or run tools/ferretdb-build, which builds one once") from None
