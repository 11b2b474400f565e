# SPDX-License-Identifier: Apache-2.0
"""The server of HTTP. It loads waitress, which the extra ``serve`` installs."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from osprofiler import exc

#: Requests that are answered at the same time. More would not be faster: one process has one core.
_THREADS = 4
_MOST_HEADER_BYTES = 16_384
_MOST_BODY_BYTES = 1_024  # requests that read have no body


def run(application: Any, host: str, port: int, tell: Callable[[int], None]) -> None:
    """Serve until an interrupt or SIGTERM. Calls *tell* with the port when it listens; 0 is any free port.

    Raises CommandError if it cannot listen.
    """
    try:
        import waitress
    except ImportError as fault:
        raise exc.CommandError(
            "osprofiler serve needs the library waitress: pip install 'osprofiler[serve]'"
        ) from fault
    try:
        server = waitress.create_server(
            application,
            host=host,
            port=port,
            threads=_THREADS,
            ident=None,
            max_request_header_size=_MOST_HEADER_BYTES,
            max_request_body_size=_MOST_BODY_BYTES,
            clear_untrusted_proxy_headers=True,
        )
    except (OSError, ValueError) as fault:  # ValueError: a name that does not resolve
        in_use = isinstance(fault, OSError) and fault.errno == errno.EADDRINUSE
        why = "it is in use; choose another one with --port" if in_use else getattr(fault, "strerror", None) or fault
        raise exc.CommandError(f"cannot listen on port {port} of {host}: {why}") from None
    with _until_signal():
        try:
            # A name such as localhost may have several addresses, and then a socket for each.
            tell(server.effective_listen[0][1] if hasattr(server, "effective_listen") else server.effective_port)
            server.run()
        finally:
            server.close()


@contextmanager
def _until_signal() -> Iterator[None]:
    """An interrupt or SIGTERM ends the block. While waitress runs, it ends its threads and returns by itself."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
