# SPDX-License-Identifier: Apache-2.0
"""A trace that begins in a script: its span, the store that it goes to, and how to look at it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osprofiler import config, notifier
from osprofiler._runtime import guard
from osprofiler.config import on_request
from osprofiler.connection.secrets import masked
from osprofiler.connection.strings import CONNECTION_STRING
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.handlers import call
from osprofiler.tracer import global_tracer


@contextmanager
def client_trace(
    hmac_key: str,
    connection_string: str | None = None,
    *,
    name: str | None = None,
    quiet: bool = False,
    points: str | Iterable[str] | None = None,
) -> Iterator[str]:
    """Run a block of a script in a new trace; the value of ``as`` is the trace's id, a UUID.

    *hmac_key* is one of the services' ``hmac_keys``: requests that have the headers of ``web.get_trace_id_headers`` are
    in the trace. The block is a span called *name*, by default as the script's file. At its end the spans are
    delivered, and stderr has the trace's id and the command that shows it, unless *quiet*.

    The store is *connection_string*, else that of ``init_from_conf`` or ``notifier.set``, else
    ``$OSPROFILER_CONNECTION_STRING``, else the embedded store that ``osprofiler trace`` reads. A store that cannot be
    used is an ERROR in the log, and does not stop the block; what the block raises passes as it is.

    *points*: what the requests ask the services to show beyond their settings, such as ``sql,redis``; else
    ``$OS_PROFILE_POINTS``. See ``get_trace_id_headers``.
    """
    name = name or _script()
    root = Point(None, None, Origin.from_osprofiler(hmac_key, asked=on_request.names(points)))
    before = notifier.get()
    with guard.Harmless("client_trace.store"):
        if connection_string or before is notifier._noop_notifier:
            _write_to(connection_string or _default(), name)
    try:
        with scope.entered(root), call.Closing(call.open_block(root, name, None)):
            yield root.origin.base_id
    finally:
        with guard.Harmless("client_trace.end"):
            outcome = _delivered(root.origin.base_id, connection_string)
            if notifier.get() is not before:
                notifier.set(before)
            if not quiet:
                sys.stderr.write(outcome)


def _script() -> str:
    program = Path(sys.argv[0]).name
    return "python" if program in ("", "-c") else program  # a prompt, or python -c


def _write_to(connection_string: str, service: str) -> None:
    from osprofiler.delivery import exits

    exits.install()
    notifier.set(notifier.create(connection_string, project=None, service=service, host=os.uname().nodename))


def _default() -> str:
    from osprofiler.drivers import locate

    return os.environ.get(CONNECTION_STRING) or locate.default_connection_string()


def _delivered(base_id: str, connection_string: str | None) -> str:
    """Deliver the trace, and return the line that says how to look at it."""
    if notifier.get() is notifier._noop_notifier:
        return f"osprofiler: trace {base_id} is not stored\n"
    in_time = global_tracer.flush(config.current().flush_timeout_s)
    late = "" if in_time else " (not all of it was delivered in time)"
    store = f" --connection-string {shlex.quote(masked(connection_string))}" if connection_string else ""
    return f"osprofiler: trace {base_id}{late}; to see it: osprofiler trace show {base_id}{store}\n"
