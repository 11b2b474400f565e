# SPDX-License-Identifier: Apache-2.0
"""Work of one point that runs in pieces."""

from __future__ import annotations

from osprofiler.context import current
from osprofiler.context.points import Point


class Pieces:
    """Work of one point that runs in pieces: a generator's resumes, a streamed body's chunks.

    ``with pieces:`` runs one piece. It re-enters the point where the last piece left off, and restores by value what
    was current around it, so that nothing is left behind between two pieces.
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
