# SPDX-License-Identifier: Apache-2.0
"""The trace model: the spans of one trace, linked to a tree, built from the records in a store.

Records may be missing, doubled, from an older osprofiler, or invalid. The result is always a forest that holds every
span once. Building takes O(n log n) and never recurses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from osprofiler.records import names, unreadable
from osprofiler.records.error_kind import error_kind
from osprofiler.records.record import Unreadable, as_mapping, checked, microseconds, split_name
from osprofiler.reports import shared_ids

#: Exceptions that reading an invalid record can raise.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

#: The tags of a span that is read without them.
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Log(NamedTuple):
    """An event within a span."""

    at_us: int  # since the epoch
    fields: dict[str, Any]


class Link(NamedTuple):
    """A reference to a span other than the parent; a join makes such references."""

    kind: str  # names.CHILD_OF or FOLLOWS_FROM
    base_id: str
    trace_id: str  # of the span


@dataclass(slots=True, eq=False)
class SpanNode:
    """One span and its place in the tree."""

    trace_id: str
    parent_id: str
    name: str
    operation: str = ""  # as Jaeger shows it; the name if no operation is known
    start_us: int = 0  # since the epoch; the time of the stop record if the start record is missing
    duration_us: int | None = None  # None: the span has not ended, or its end was lost
    stop_us: int | None = None  # the time of the stop record, as stored
    has_start: bool = False
    reference: str | None = None  # to the parent: names.CHILD_OF, FOLLOWS_FROM, or None without a parent
    parent_missing: bool = False  # it names a parent that is not stored
    project: str | None = None
    service: str | None = None
    host: str | None = None
    pid: int | None = None
    process: Mapping[str, Any] = field(default_factory=dict)  # other process tags, as in Jaeger
    start_info: Mapping[str, Any] = field(default_factory=dict)
    stop_info: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    logs: Sequence[Log] = ()
    links: Sequence[Link] = ()
    error: str | None = None  # the kind of error; None: it did not fail
    skew_us: int = 0  # ``skew.correct`` added this to its times
    payloads: dict[str, Any] = field(default_factory=dict)  # record name to the record as the store gave it
    children: list[SpanNode] = field(default_factory=list)  # by start

    @property
    def finished(self) -> bool:
        return self.duration_us is not None

    @property
    def end_us(self) -> int:
        """The end; for an unfinished span, the start."""
        return self.start_us + (self.duration_us or 0)

    @property
    def detached(self) -> bool:
        """Whether the parent did not wait for it."""
        return self.reference == names.FOLLOWS_FROM

    @property
    def fork(self) -> str | None:
        """The name of the fork, if this span is a branch of one."""
        name = self.tags.get(names.FORK)
        return None if name is None else str(name)

    @property
    def joined_forks(self) -> str | None:
        """If this is a join: the names of the forks whose branches it joins."""
        forks = self.tags.get(names.JOIN)
        return None if forks is None else str(forks)

    @property
    def fates(self) -> dict[str, int]:
        """If this is a join: the number of its branches by fate (see ``names.JOIN_COUNTS``), without zeros."""
        if names.JOIN not in self.tags:
            return {}
        counts = {tag.removeprefix(f"{names.JOIN}."): self.tags.get(tag) for tag in names.JOIN_COUNTS}
        return {fate: count for fate, count in counts.items() if isinstance(count, int) and count}


@dataclass(slots=True, eq=False)
class Trace:
    """All spans of one trace."""

    base_id: str
    spans: dict[str, SpanNode] = field(default_factory=dict)  # by trace_id, in order of start
    roots: list[SpanNode] = field(default_factory=list)  # by start
    start_us: int = 0  # the start of the first span, since the epoch
    end_us: int = 0  # the last end, since the epoch
    unreadable: int = 0  # the number of unreadable records
    report: Mapping[str, Any] | None = None  # the report in 4.4.0's shape, if the trace was read from one
    skews: dict[str, int] = field(default_factory=dict)  # host to the correction of its clock, in microseconds

    def walk(self) -> Iterator[tuple[int, SpanNode]]:
        """Every span with its depth. A parent comes before its children, as in a printed tree."""
        waiting = [(0, span) for span in reversed(self.roots)]
        while waiting:
            depth, span = waiting.pop()
            yield depth, span
            waiting.extend((depth + 1, child) for child in reversed(span.children))


def text(value: object) -> str | None:
    """*value*, a name in a record, as text; None if it is empty."""
    return str(value) if value else None


def time_us(stamp: object) -> int:
    """A record's time stamp in microseconds since the epoch. Raises ValueError."""
    return microseconds(str(stamp))


def began_us(trace: Mapping[str, Any]) -> int:
    """When a listed trace began, in microseconds; 0 if its time stamp cannot be read, so it sorts first."""
    try:
        return time_us(trace.get("timestamp"))
    except ValueError:
        return 0


def from_records(records: Iterable[dict[str, Any]], payloads: Sequence[Any] | None = None) -> Trace:
    """Build the trace from *records*, in any order. *payloads*: what to show for each record, if not the record itself.

    Invalid records are left out, and spans that share an id get different ids; both are reported to
    ``osprofiler.records.unreadable``.
    """
    trace = Trace("")
    read: list[tuple[dict[str, Any], Any]] = []
    shared: set[str] = set()  # ids that several spans have
    with unreadable.collected() as ledger:
        for position, record in enumerate(records):
            payload = record if payloads is None else payloads[position]
            try:
                take(trace, record, payload)
            except AnotherSpan:
                shared.add(str(record["trace_id"]))
            except UNREADABLE as fault:
                unreadable.skip(f"trace {trace.base_id}", f"record {position + 1}", _why(record, fault))
                continue
            read.append((record, payload))
        if shared:
            _separate(trace, shared, [pair for pair in read if str(pair[0]["trace_id"]) in shared])
    trace.unreadable = ledger.skipped
    return linked(trace)


def _separate(trace: Trace, shared: Iterable[str], pairs: Sequence[tuple[dict[str, Any], Any]]) -> None:
    """Take the records and payloads of the *shared* ids once more, each span under an id of its own."""
    for trace_id in shared:
        del trace.spans[trace_id]
    renamed: dict[str, str] = {}
    for span_id, (record, payload) in zip(shared_ids.spans_of([pair[0] for pair in pairs]), pairs, strict=True):
        take(trace, {**record, "trace_id": span_id}, payload)
        if span_id != str(record["trace_id"]):
            renamed[span_id] = str(record["trace_id"])
    for span_id, trace_id in renamed.items():
        note = f"several spans have the id {trace_id}; {trace.spans[span_id].name!r} is shown as {span_id}"
        unreadable.note(f"trace {trace.base_id}", note)


def _why(record: object, fault: Exception) -> Exception:
    """The reason why *record* is invalid: the error of ``checked``, or else *fault*."""
    try:
        checked(record)
    except Unreadable as why:
        return why
    return fault


class AnotherSpan(Exception):
    """The record's id belongs to another span."""


def take(trace: Trace, record: dict[str, Any], payload: Any) -> None:
    """Add one record to its span in *trace*. Raises one of ``UNREADABLE`` if the record is invalid, and AnotherSpan."""
    at_us = time_us(record["timestamp"])
    full_name, trace_id = str(record["name"]), str(record["trace_id"])
    name, phase = split_name(full_name)
    given = record.get("info")
    info: dict[str, Any] = dict(as_mapping(given))
    span = trace.spans.get(trace_id)
    if span is None:
        span = trace.spans[trace_id] = SpanNode(trace_id, str(record.get("parent_id") or ""), name, start_us=at_us)
    elif name != span.name or at_us != (
        (span.start_us if span.has_start else at_us) if phase == "start" else (span.stop_us or at_us)
    ):
        raise AnotherSpan
    trace.base_id = trace.base_id or str(record.get("base_id") or "")
    span.payloads[full_name] = payload
    span.project = span.project or text(record.get("project"))
    span.service = span.service or text(record.get("service"))
    span.host = span.host or text(record.get("host")) or text(info.get("host"))
    extra = as_mapping(info.pop(names.RESERVED, None))
    if phase == "start":
        # The stop record may have come first; then the span already has its end.
        end_us = None if span.has_start or span.duration_us is None else span.end_us
        span.has_start, span.start_us, span.start_info = True, at_us, info
        if end_us is not None:
            span.duration_us = max(end_us - at_us, 0)
        span.operation = str(extra.get("operation") or "")
        span.reference = names.FOLLOWS_FROM if extra.get("parent") == names.FOLLOWS_FROM else None
        span.pid = extra["pid"] if isinstance(extra.get("pid"), int) else None
        span.process = dict(as_mapping(extra.get("process")))
    else:
        span.duration_us = max(at_us - span.start_us, 0) if span.has_start else 0
        span.stop_us = at_us
        span.stop_info = info
        span.error = error_kind(given)
        span.tags = dict(as_mapping(extra.get("tags")))
        span.logs, span.links = logs_and_links(extra)


def logs_and_links(extra: Mapping[str, Any]) -> tuple[Sequence[Log], Sequence[Link]]:
    """The logs and the links in *extra*, the fields under the reserved key of a stop record."""
    if "logs" not in extra and "links" not in extra:  # most spans have none
        return (), ()
    logs = [Log(int(at_us), dict(fields)) for at_us, fields in extra.get("logs") or ()]
    return logs, [Link(str(kind), str(base), str(point)) for kind, base, point in extra.get("links") or ()]


_start_of = attrgetter("start_us")


def linked(trace: Trace) -> Trace:
    """Sort the spans of *trace* and put them under their parents. A loop of parents is cut at its earliest span."""
    known = trace.spans
    spans: dict[str, SpanNode] = {}
    roots: list[SpanNode] = []
    parents_first = True
    ordered = sorted(known.values(), key=_start_of)
    for span in ordered:
        if span.parent_id in known and span.parent_id not in spans:
            parents_first = False  # only then there can be a loop
        spans[span.trace_id] = span
        span.operation = span.operation or span.name
        span.children = []
    trace.spans, trace.roots = spans, roots
    trace.start_us = ordered[0].start_us if ordered else 0
    trace.end_us = max([span.start_us + (span.duration_us or 0) for span in ordered], default=0)
    loop_cuts: Set[str] = frozenset() if parents_first else _loop_cuts(trace)
    for span in ordered:
        parent = spans.get(span.parent_id)
        if parent is None or span.trace_id in loop_cuts:
            roots.append(span)
            span.parent_missing = parent is None and span.parent_id not in ("", trace.base_id)
            span.reference = span.reference or names.CHILD_OF if span.parent_missing else None
        else:
            parent.children.append(span)
            span.reference = span.reference or names.CHILD_OF
    return trace


def _loop_cuts(trace: Trace) -> set[str]:
    """The ids of the spans where loops of parents are cut: the earliest span of each loop."""
    safe: set[str] = set()  # spans that lead to a root, or to a loop already cut
    cuts: set[str] = set()
    for trace_id in trace.spans:
        path: dict[str, None] = {}
        at = trace_id
        while at in trace.spans and at not in safe and at not in path:
            path[at] = None
            at = trace.spans[at].parent_id
        if at in path:
            members = list(path)
            loop = members[members.index(at) :]
            cuts.add(min(loop, key=lambda member: trace.spans[member].start_us))
        safe.update(path)
    return cuts
