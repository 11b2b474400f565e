# SPDX-License-Identifier: Apache-2.0
"""The result of a check."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Status(enum.Enum):
    """How serious a result is; a later status is more serious."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Result(NamedTuple):
    """One result: a line for people, and values for programs."""

    check: str  # the subject, one word
    status: Status
    text: str  # what is the case
    advice: str = ""  # what to do; empty if there is nothing to do
    values: Mapping[str, Any] = {}  # by names that do not change; only what JSON has


def worst(results: Iterable[Result]) -> Status:
    """The most serious status of *results*; OK without results."""
    order = list(Status)
    return max((result.status for result in results), key=order.index, default=Status.OK)
