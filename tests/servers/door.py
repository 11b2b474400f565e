# SPDX-License-Identifier: Apache-2.0
"""An address before a server, as balancers and floating addresses are: it may lead elsewhere, or fall silent."""

import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Iterator

_SO_ATTACH_FILTER = 26  # of Linux; the socket module has no name for it


class Door:
    """New connections to ``port`` lead to ``target``; those that are there stay where they lead to."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._open, daemon=True).start()

    def _open(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                ends = self._door.accept()[0], socket.create_connection(("127.0.0.1", self.target))
                self._ends += ends
                for pair in ends, ends[::-1]:
                    threading.Thread(target=_hand_on, args=pair, daemon=True).start()

    def fall_silent(self) -> None:
        """Answer nothing on the connections that are there, and acknowledge nothing: as a host without power does."""
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET: keep 0 bytes
        for end in self._ends:
            end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(nothing)))

    def close(self) -> None:
        """End all connections."""
        for end in self._door, *self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _hand_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in source, sink:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def door(target: int) -> Iterator[Door]:
    """A door before the port *target*."""
    made = Door(target)
    try:
        yield made
    finally:
        made.close()
