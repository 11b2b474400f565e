# SPDX-License-Identifier: Apache-2.0
"""The profiles of the traces of a set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from osprofiler.cmd.set_work import Work
from osprofiler.reports.analysis import skew, trace_profile
from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.analysis.trace_profile import Packed, TraceProfile
from osprofiler.reports.model import Trace


class Profiles(Work[list[TraceProfile]]):
    """The profile of each trace, with the steps of *steps*; *path*: with its critical path."""

    def __init__(self, steps: Steps, *, path: bool) -> None:
        self._steps = steps
        self._path = path

    def part(self, traces: Iterable[Trace]) -> list[TraceProfile]:
        return [trace_profile.of(skew.correct(trace), self._steps, path=self._path) for trace in traces]

    def packed(self, part: list[TraceProfile]) -> Packed:
        return trace_profile.packed(part, self._steps)

    def unpacked(self, data: Packed) -> list[TraceProfile]:
        return list(trace_profile.unpacked(data, self._steps))

    def __reduce__(self) -> tuple[Any, ...]:
        return _anew, (self._path,)


def _anew(path: bool) -> Profiles:
    return Profiles(Steps(), path=path)
