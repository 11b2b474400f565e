# SPDX-License-Identifier: Apache-2.0
"""oslo.concurrency: ``processutils.execute`` is a trace point that lasts as long as the program runs.

Only the program's name is recorded: arguments hold passwords. The program itself gets the trace from the
instrumentation of subprocesses.
"""

from __future__ import annotations

import os
from typing import Any

from opentracing.ext import tags as ext_tags

from osprofiler import _guard, opentracing_compat
from osprofiler._wrapping import Method, Target, Wrapping
from osprofiler.opentracing_compat import scope
from osprofiler.opentracing_compat.scope import SAMPLED, Point

MODEL = "oslo_concurrency"


def _execute(execute: Method) -> Method:
    def run(*cmd: Any, **kwargs: Any) -> Any:
        here = scope.current.get()
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
    with _guard.Harmless(MODEL):
        program = os.path.basename(os.fsdecode(cmd[0])) if cmd else ""
        return opentracing_compat.get_tracer().open_point(
            here,
            "execute",
            {"execute": {"program": program}},
            operation=f"execute {program}",
            tags={ext_tags.COMPONENT: "oslo.concurrency"},
        )
    return None


def _close(point: Point, fault: BaseException | None) -> None:
    with _guard.Harmless(MODEL):
        point.end(fault=fault)


_wrapping = Wrapping(Target("oslo_concurrency.processutils", "", "execute", _execute))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
