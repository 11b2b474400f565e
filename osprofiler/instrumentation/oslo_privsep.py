# SPDX-License-Identifier: Apache-2.0
"""Tracing of oslo.privsep: a client span for each function that a service has its privileged daemon run.

The daemon is a process that does not configure tracing, so it has no span of its own. Arguments are not shown.
"""

from __future__ import annotations

from typing import Any

from osprofiler._runtime.wrapping import Target, Wrapping
from osprofiler.context.points import Point
from osprofiler.handlers import command, step
from osprofiler.instrumentation.calls import Calls, blocking

_NAME = "privsep"


def _open(here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point:
    function = command.text(args[1])  # its module and name
    tags = {"component": "oslo.privsep", "span.kind": "client", "code.function": function}
    return step.open_point(here, _NAME, f"{_NAME} {function}", tags)


_wrapping = Wrapping(Target("oslo_privsep.daemon", "_ClientChannel", "remote_call", blocking(Calls(_NAME, _open))))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
