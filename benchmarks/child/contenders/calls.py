# SPDX-License-Identifier: Apache-2.0
"""What services call again and again while no trace is on; alike in every osprofiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contenders


def public_calls(profiler: Any, web: Any) -> dict[str, Callable[[], Any]]:
    """Rows by name. ``bare call`` is what the decorated function costs without its decorator."""

    def bare(n: int) -> int:
        return n

    @profiler.trace("bench")
    def traced(n: int) -> int:
        return n

    @profiler.trace_cls("bench")
    class Traced:
        def method(self) -> None:
            return

    instance, info = Traced(), {"n": 1}

    def start_stop() -> None:
        profiler.start("bench", info)
        profiler.stop()

    def block() -> None:
        with profiler.Trace("bench", info):
            pass

    return {
        "bare call": lambda: bare(1),
        "rest traced": lambda: traced(1),
        "rest method": instance.method,
        "rest start/stop": start_stop,
        "rest Trace": block,
        "rest get": profiler.get,
        "rest clean": profiler.clean,
        "rest headers": web.get_trace_id_headers,
    }


def raising_calls(profiler: Any, root: Callable[[], Any]) -> contenders.Rows:
    """An exception that passes through nested points, in a trace that *root* opens; alike in every osprofiler."""
    return {f"exception through {points}": (_raising(profiler, points), root, 5 * points) for points in (10, 200)}


def _raising(profiler: Any, points: int) -> Callable[[], None]:
    def fail() -> None:
        raise LookupError("no valid host")

    call = fail
    for _ in range(points):
        call = _around(profiler, call)

    def catching() -> None:
        try:
            call()
        except LookupError:
            return

    return catching


def _around(profiler: Any, inner: Callable[[], None]) -> Callable[[], None]:
    @profiler.trace("bench")
    def traced() -> None:
        inner()

    traced_call: Callable[[], None] = traced
    return traced_call
