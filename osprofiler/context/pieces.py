# SPDX-License-Identifier: Apache-2.0
"""Run the work of one point in pieces: a generator's resumes, the chunks of a streamed body."""

from __future__ import annotations

from osprofiler.context import current
from osprofiler.context.points import Point


class Pieces:
    """``with pieces:`` runs one piece of the work.

    It makes the point current that the last piece ended with, and afterwards restores the caller's point by value. So
    nothing is left behind between two pieces.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, point: Point | None) -> None:
        self._inner = point
        self._outer: Point | None = None

    def __enter__(self) -> None:
        self._outer = current.point.get()
        current.point.set(self._inner)

    def __exit__(self, *exc_info: object) -> None:
        self._inner = current.point.get()
        current.point.set(self._outer)
