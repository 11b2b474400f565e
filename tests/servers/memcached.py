# SPDX-License-Identifier: Apache-2.0
"""A memcached, which has no accounts."""

import contextlib
import socket
from typing import ClassVar

from tests.servers.base import Server, free_port, program


class Memcached(Server):
    """memcached at ``port`` of 127.0.0.1. A stop loses the data."""

    name: ClassVar[str] = "memcached"
    user: ClassVar[str] = "memcache"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()

    @classmethod
    def check(cls) -> None:
        program("memcached", install="memcached")

    @property
    def url(self) -> str:
        """Return the host and the port."""
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [program("memcached", install="memcached"), "-l", "127.0.0.1", "-p", str(self.port), "-m", "16"]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"version\r\n")
            return connection.recv(64).startswith(b"VERSION")
        return False
