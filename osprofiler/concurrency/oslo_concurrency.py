# SPDX-License-Identifier: Apache-2.0
"""oslo.concurrency: ``processutils.execute`` is a trace point that lasts as long as the program runs.

Only the program's name is recorded, since arguments may hold passwords. The instrumentation of subprocesses hands the
trace to the program.
"""

from __future__ import annotations

import os
from typing import Any

from opentracing.ext import tags as ext_tags

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.tracer import global_tracer

MODEL = "oslo_concurrency"


def _execute(execute: Method) -> Method:
    def run(*cmd: Any, **kwargs: Any) -> Any:
        here = current.point.get()
        point = _open(here, cmd) if here is not None and here.origin.flags & SAMPLED else None
        if point is None:
            return execute(*cmd, **kwargs)
        try:
            result = execute(*cmd, **kwargs)
        except BaseException as fault:
            _close(point, fault)
            raise
        _close(point, None)
        return result

    return run


def _open(here: Point, cmd: tuple[Any, ...]) -> Point | None:
    with guard.Harmless(MODEL):
        program = os.path.basename(os.fsdecode(cmd[0])) if cmd else ""
        return global_tracer.get_tracer().open_point(
            here,
            "execute",
            {"execute": {"program": program}},
            operation=f"execute {program}",
            tags={ext_tags.COMPONENT: "oslo.concurrency"},
        )
    return None


def _close(point: Point, fault: BaseException | None) -> None:
    with guard.Harmless(MODEL):
        point.end(fault=fault)


_wrapping = Wrapping(Target("oslo_concurrency.processutils", "", "execute", _execute))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
