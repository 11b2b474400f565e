# SPDX-License-Identifier: Apache-2.0
"""Records for transports that know only whole spans: a start and its stop make one.

They are records that service code made by hand, or those of another store that are written here. What the reserved key
of ``info`` says of a span becomes the span's own again, so that it arrives as if it had been sent when it ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opentracing import ReferenceType

from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import SAMPLED
from osprofiler.records import ids, naming
from osprofiler.records.record import RESERVED, START_LOST, UNFINISHED, microseconds, split_name

#: Starts whose stop never comes are forgotten, the oldest first.
MOST_WAITING = 10_000

#: The tag for the point's own id, where the trace's and the span's integers do not give it back.
POINT_ID = "osprofiler.trace_id"

_FOLLOWS = "follows_from"
_KINDS = {"child_of": ReferenceType.CHILD_OF, _FOLLOWS: ReferenceType.FOLLOWS_FROM}


class RecordedSpan:
    """What a span transport reads of a span, from its two records, or from the one there is."""

    flags = SAMPLED

    def __init__(self, start: dict[str, Any] | None, stop: dict[str, Any] | None) -> None:
        first = start or stop
        assert first is not None, "a span has a record"
        self.start = start
        self.start_info, said = _parted(start)
        self.stop_info, said_at_end = _parted(stop)
        if not said and not said_at_end:
            self.start_info[RESERVED] = {}  # it is to read back as such records, and nothing to be made of it anew
        self.origin = _origin(first, "parent" in said)
        self.span_id = ids.span_id_of(first["trace_id"])
        self.parent_span_id = self.origin.parent_span_id
        self.parent_uuid = self.origin.parent_id
        self.follows = said.get("parent") == _FOLLOWS
        #: Project, service, host and pid, as far as they are known.
        self.process = first.get("project"), first.get("service"), self.start_info.get("host"), said.get("pid")
        self.name: str | None = split_name(first["name"])[0]
        self.operation_name = str(said.get("operation") or naming.operation(self.name, self.start_info))
        self.start_us = microseconds(first["timestamp"])
        self.duration_us = max(microseconds(stop["timestamp"]) - self.start_us, 0) if stop else 0
        # The same as a live span's two clock readings, which the binary encoder reads.
        self.start_tick = self.start_us * 1000 - self.origin.epoch_ns
        self.end_tick = self.start_tick + self.duration_us * 1000
        self.own_logs = [(int(at_us), dict(fields)) for at_us, fields in said_at_end.get("logs") or ()]
        self.links = [
            (_KINDS[kind], ids.trace_id_of(base_id), ids.span_id_of(point_id))
            for kind, base_id, point_id in said_at_end.get("links") or ()
        ]
        keys = self.start_info.keys() | self.stop_info.keys()
        if said and self.name == self.operation_name and not keys - {"host"}:
            # No trace point: it has tags only, and some of them may look like info of ours.
            self.name, self.start_info, self.stop_info = None, {}, {}
        self.own_tags: dict[str, Any] = dict(said_at_end.get("tags") or {})
        if self.stop_info.get("etype"):
            self.own_tags.setdefault("error", True)
        if first["trace_id"] != ids.point_uuid(self.origin.prefix, self.span_id):
            self.own_tags[POINT_ID] = first["trace_id"]
        if start is None:
            self.own_tags[START_LOST] = True
        if stop is None:
            self.own_tags[UNFINISHED] = True


def _parted(record: Mapping[str, Any] | None) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The info of *record*, and what stands under its reserved key, if that is ours."""
    given = record.get("info") if record else None
    info = dict(given) if isinstance(given, Mapping) else {}
    said = info.get(RESERVED)
    if not isinstance(said, Mapping) or not said:
        return info, {}
    del info[RESERVED]
    return info, said


def _origin(record: Mapping[str, Any], has_parent: bool) -> Origin:
    """Where the span comes from. *has_parent*: also if the parent's id is the trace's, as some tracers begin."""
    base_id, parent_id = str(record["base_id"]), str(record["parent_id"])
    if has_parent and parent_id == base_id:
        return Origin(base_id, ids.trace_id_of(base_id), parent_id=parent_id, parent_span_id=ids.span_id_of(parent_id))
    return Origin.from_osprofiler(None, base_id, parent_id)


class Pairs:
    """The starts that wait for their stop; at most *most* of them, None: all."""

    def __init__(self, most: int | None = MOST_WAITING) -> None:
        self._most = most
        self._starts: OrderedDict[object, dict[str, Any]] = OrderedDict()

    def add(self, record: dict[str, Any]) -> RecordedSpan | None:
        """The span that *record* completes; None for a start, which is kept. A stop without start is a moment."""
        if is_start(record):
            self._starts[_key(record)] = record
            if self._most is not None and len(self._starts) > self._most:
                self._starts.popitem(last=False)
            return None
        return RecordedSpan(self._starts.pop(_key(record), None), record)

    def take_back(self, spans: Iterable[RecordedSpan]) -> None:
        """Have the starts of *spans* wait once more."""
        self._starts.update((_key(span.start), span.start) for span in spans if span.start is not None)

    def unfinished(self) -> Iterator[RecordedSpan]:
        """The spans whose stop has not come; they are waited for no more."""
        while self._starts:
            yield RecordedSpan(self._starts.popitem(last=False)[1], None)


def _key(record: Mapping[str, Any]) -> tuple[str, str]:
    """What a start and its stop have in common; the id alone is that of several spans with some tracers."""
    return str(record.get("trace_id")), split_name(str(record.get("name")))[0]


def is_start(record: Mapping[str, Any]) -> bool:
    """Whether *record* is of a span's start."""
    return split_name(str(record.get("name", "")))[1] == "start"
