# SPDX-License-Identifier: Apache-2.0
"""What was measured: every single value, and the remarks next to the tables."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any


class Figures:
    """Values by contender, row and unit; several of each, one a repetition."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self.notes: list[str] = []

    def add(self, contender: str, row: str, unit: str, value: float) -> None:
        self.values[contender, row, unit].append(value)

    def add_all(self, contender: str, result: dict[str, Any]) -> None:
        """The output of ``spans.py`` for one piece of work."""
        for unit, values in result["figures"].items():
            self.values[contender, result["name"], unit] += values

    def median(self, contender: str, row: str, unit: str) -> float | None:
        values = self.values.get((contender, row, unit))
        return statistics.median(values) if values else None
