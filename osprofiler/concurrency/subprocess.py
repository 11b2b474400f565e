# SPDX-License-Identifier: Apache-2.0
"""Subprocesses get the trace in their environment: ``TRACEPARENT``, ``UBER_TRACE_ID`` and signed ``X_TRACE_*``.

A Python program continues the trace by ``with profiler.branch(os.environ):``. Nothing reads the environment
automatically, since a daemon that a request starts would stay in its trace for ever.
"""

from __future__ import annotations

import os
from typing import Any

from osprofiler import propagation
from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.carrier import environment
from osprofiler.context import current, scope

MODEL = "subprocess"

# The place of Popen's ``env`` among the arguments after ``args``. Their order is the same since Python 3.0.
_ENV = 9, "env"


def _popen(init: Method) -> Method:
    def run(self: Any, /, args: Any, *rest: Any, **kwargs: Any) -> None:
        if current.point.get() is not None:
            with guard.Harmless(MODEL):
                rest, kwargs = _with_trace(rest, kwargs)
        init(self, args, *rest, **kwargs)

    return run


def _with_trace(rest: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    fields = environment(propagation.write(scope.context()))
    if not fields:
        return rest, kwargs
    caller_env = arguments.given(rest, kwargs, *_ENV)
    env = {**(os.environ if caller_env is None else caller_env), **fields}
    return arguments.replaced(rest, kwargs, *_ENV, env)


_wrapping = Wrapping(
    Target("subprocess", "Popen", "__init__", _popen),
    # In a process that eventlet has patched: ``subprocess.Popen`` and oslo.concurrency use the first of these two,
    # ``check_output`` uses the second.
    Target("eventlet.green.subprocess", "Popen", "__init__", _popen),
    Target("__patched_module_subprocess", "Popen", "__init__", _popen),
    # In a process that gevent has patched.
    Target("gevent.subprocess", "Popen", "__init__", _popen),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
