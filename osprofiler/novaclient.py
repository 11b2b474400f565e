# SPDX-License-Identifier: Apache-2.0
"""The functions that the patches of python-novaclient call: client spans of REST requests, and ``nova --profile``.

The command writes its own spans to the store of ``$OSPROFILER_CONNECTION_STRING``. If that is not set, it only asks the
services for a trace, like an unpatched command. ``$OSPROFILER_JAEGER_UI`` is the address of Jaeger's UI.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from osprofiler import notifier, profiler
from osprofiler._runtime import guard
from osprofiler.connection.strings import CONNECTION_STRING
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.instrumentation.novaclient import path_template, record, traced
from osprofiler.tracer import global_tracer

__all__ = ["begin", "end", "path_template", "traced"]

JAEGER_UI = "OSPROFILER_JAEGER_UI"

#: The name of the whole command's trace point.
COMMAND = "nova"

_command: _Command | None = None


class _Command:
    """One run of ``nova --profile``."""

    def __init__(self, point: Point | None, base_id: str) -> None:
        self.point = point
        self.base_id = base_id

    def end(self, name: str, fault: BaseException | None) -> None:
        with guard.Harmless("novaclient.end"):
            if self.point is not None:
                self.point.end({"command": name} if name else None, fault)
        with guard.Harmless("novaclient.show"):
            # After a failed command, a script may read a partial result from standard output: do not add to it.
            print(_how_to_show(self.base_id), file=sys.stdout if fault is None else sys.stderr)


class _Failed(Exception):
    """The command ended before its work was done."""


def begin(hmac_key: str) -> None:
    """Begin the trace of a command. If there is a store to write to, open a span for the whole command."""
    global _command
    with guard.Harmless("novaclient.begin"):
        trace = profiler.init(hmac_key)
        store = os.environ.get(CONNECTION_STRING)
        record(bool(store))
        point = None
        if store:
            _write_to(store)
            here = current.point.get()
            if here is not None and here.origin.flags & SAMPLED:
                point = global_tracer.get_tracer().open_point(here, COMMAND)
        if _command is None:
            atexit.register(_at_exit)
        _command = _Command(point, trace.get_base_id())


def _write_to(store: str) -> None:
    from osprofiler.delivery import exits

    exits.install()
    notifier.set(notifier.create(store, project="python", service="novaclient", host=os.uname().nodename))


def end(command: Callable[..., Any]) -> None:
    """End the trace of a command after its function *command* has returned. Print how to show the trace."""
    global _command
    ended, _command = _command, None
    if ended is not None:
        ended.end(getattr(command, "__name__", "").removeprefix("do_").replace("_", "-"), None)


def _at_exit() -> None:
    global _command
    failed, _command = _command, None
    if failed is not None:
        failed.end("", _Failed())


def _how_to_show(base_id: str) -> str:
    lines = [
        f"Trace ID: {base_id}",
        "To display trace use the command:\n",
        f"  osprofiler trace show --html {base_id} ",
    ]
    ui = _jaeger_ui()
    if ui:
        lines.append(f"\nIn Jaeger: {ui}/trace/{base_id.replace('-', '')}")
    return "\n".join(lines)


def _jaeger_ui() -> str:
    """The address of Jaeger's UI in the environment, or else in the connection string; "" if it is in neither."""
    address = os.environ.get(JAEGER_UI, "")
    store = os.environ.get(CONNECTION_STRING, "")
    if not address and store.startswith("jaeger"):
        address = next(iter(parse_qs(urlsplit(store).query).get("query", ())), "")
    return address.rstrip("/")
