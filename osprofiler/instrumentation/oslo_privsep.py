# SPDX-License-Identifier: Apache-2.0
"""Tracing of oslo.privsep: a client span for each function that a service has its privileged daemon run.

The daemon is a process that does not configure tracing, so it has no span of its own. Arguments are not shown.
"""

from __future__ import annotations

from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import command, step
from osprofiler.handlers.call import Closing

_NAME = "privsep"


def _remote_call(original: Method) -> Method:
    def remote_call(self: Any, /, name: str, *args: Any, **kwargs: Any) -> Any:
        with _calling(name):
            return original(self, name, *args, **kwargs)

    return remote_call


def _calling(function: str) -> Closing:
    """A block that waits for the daemon to run *function*, module and name: its span."""
    with guard.Harmless("privsep.start"):
        here = current.sampled()
        if here is not None:
            tags = {"component": "oslo.privsep", "span.kind": "client", "code.function": command.text(function)}
            return Closing(step.open_point(here, _NAME, f"{_NAME} {tags['code.function']}", tags))
    return Closing(None)


_wrapping = Wrapping(Target("oslo_privsep.daemon", "_ClientChannel", "remote_call", _remote_call))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
