# SPDX-License-Identifier: Apache-2.0
"""Pairs of a start and a stop record. Each pair makes one span."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osprofiler.records.record import split_name
from osprofiler.records.stored_span import StoredSpan

#: If more starts than this wait for their stop, the oldest are forgotten.
MOST_WAITING = 10_000


class Pairs:
    """The start records that wait for their stop record: at most *most* of them, or any number if None."""

    def __init__(self, most: int | None = MOST_WAITING) -> None:
        self._most = most
        self._starts: OrderedDict[object, dict[str, Any]] = OrderedDict()

    def add(self, record: dict[str, Any]) -> StoredSpan | None:
        """The span that *record* completes. A start waits here, and returns None. A stop without a start is a span
        without a duration.
        """
        if is_start(record):
            self._starts[_key(record)] = record
            if self._most is not None and len(self._starts) > self._most:
                self._starts.popitem(last=False)
            return None
        return StoredSpan(self._starts.pop(_key(record), None), record)

    def take_back(self, spans: Iterable[StoredSpan]) -> None:
        """Make the start records of *spans* wait again."""
        self._starts.update((_key(span.start_record), span.start_record) for span in spans if span.start_record)

    def unfinished(self) -> Iterator[StoredSpan]:
        """The spans without a stop record. They no longer wait for one."""
        while self._starts:
            yield StoredSpan(self._starts.popitem(last=False)[1], None)


def _key(record: Mapping[str, Any]) -> tuple[str, str]:
    """The key that a start and its stop share. The name is a part, since some tracers give one id to several spans."""
    return str(record.get("trace_id")), split_name(str(record.get("name")))[0]


def is_start(record: Mapping[str, Any]) -> bool:
    """Whether *record* is the start record of a span."""
    return split_name(str(record.get("name", "")))[1] == "start"
