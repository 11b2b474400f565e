# SPDX-License-Identifier: Apache-2.0
"""Servers that speak MongoDB's protocol: FerretDB, which keeps data in files, mongo-java-server and NX-27017 in memory.

The first has accounts and TLS, the second takes what MongoDB takes, the third forgets what has expired; a real MongoDB
does all of that.
"""

import itertools
import signal
import socket
import struct
from pathlib import Path
from typing import ClassVar

from tests import environments
from tests.servers import java
from tests.servers.base import Missing, Server, built, free_port
from tests.servers.certificate import make_certificate

_PASSWORD = "of-mongo"

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
            return b"maxWireVersion" in connection.recv(65536)


class FerretDB(_Mongo):
    """FerretDB on SQLite files, with an account: in clear at ``url``, with TLS at ``tls_url``."""

    name: ClassVar[str] = "ferretdb"

    def __init__(self) -> None:
        super().__init__()
        self.tls_port = free_port()

    @property
    def url(self) -> str:
        return f"mongodb://osp:{_PASSWORD}@127.0.0.1:{self.port}/"

    @property
    def tls_url(self) -> str:
        """Return the connection string over TLS, which trusts the server's own certificate."""
        place = f"mongodb://osp:{_PASSWORD}@127.0.0.1:{self.tls_port}/"
        return f"{place}?tls=true&tlsCAFile={self.certificate}"

    @property
    def certificate(self) -> Path:
        """Return the file of the server's certificate, signed by itself."""
        return self.data / "certificate.pem"

    @classmethod
    def check(cls) -> None:
        _binary()

    def _prepare(self) -> None:
        (self.data / "db").mkdir()
        make_certificate(self, self.certificate, self.data / "key.pem")

    def _command(self) -> list[str]:
        return [
            _binary(),
            f"--listen-addr=127.0.0.1:{self.port}",
            "--handler=sqlite",
            f"--sqlite-url=file:{self.data}/db/",
            f"--state-dir={self.data}",
            f"--listen-tls=127.0.0.1:{self.tls_port}",
            f"--listen-tls-cert-file={self.certificate}",
            f"--listen-tls-key-file={self.data}/key.pem",
            "--test-enable-new-auth",
            "--setup-database=admin",
            "--setup-username=osp",
            f"--setup-password={_PASSWORD}",
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


class NX27017(_Mongo):
    """NX-27017, which looks for expired documents whenever it is asked for any."""

    name: ClassVar[str] = "nx27017"
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # it has nothing to save

    @classmethod
    def check(cls) -> None:
        cls._python()

    @staticmethod
    def _python() -> Path:
        try:
            return environments.python("nx-27017", "nx-27017==0.8.1", "neosqlite==1.17.2")
        except environments.NotMade as why:
            raise Missing(str(why)) from None

    def _command(self) -> list[str]:
        program = self._python().with_name("nx-27017")
        return [
            str(program),
            f"--port={self.port}",
            "--db=memory",
            f"--log-file={self.data}/own.log",
            f"--pid-file={self.data}/pid",
        ]


def _binary() -> str:
    try:
        return built("ferretdb-build")
    except Missing:
        raise Missing("no FerretDB: set FERRETDB_BIN, or run tools/ferretdb-build, which builds one once") from None
