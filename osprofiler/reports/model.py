# SPDX-License-Identifier: Apache-2.0
"""The trace model: the spans of one trace, linked to a tree, from the records that a store holds of it.

Stores are read as they are found: records may be missing, doubled, of an older osprofiler, or nonsense. Whatever the
records say, the result is a forest that holds every span once. Building takes O(n log n) and never recurses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from osprofiler.records import names, unreadable
from osprofiler.records.record import Unreadable, checked, microseconds, split_name
from osprofiler.reports import shared_ids

_NOTHING: Mapping[str, Any] = MappingProxyType({})

_NO_ERROR = frozenset(("", "false", "no", "0", "none", "null"))
_ERROR_CHARS = 200

#: What comes of something that is no record.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class Log(NamedTuple):
    """Something that happened within a span."""

    at_us: int  # since the epoch
    fields: dict[str, Any]


class Link(NamedTuple):
    """A reference beside the one to the parent, as a join makes them."""

    kind: str  # names.CHILD_OF or FOLLOWS_FROM
    base_id: str
    trace_id: str  # of the span


@dataclass(slots=True, eq=False)
class SpanNode:
    """One span and its place in the tree."""

    trace_id: str
    parent_id: str
    name: str
    operation: str = ""  # as Jaeger shows it; the name where no better is known
    start_us: int = 0  # since the epoch; the time of the stop record where the start record is missing
    duration_us: int | None = None  # None: it has not ended, or its end was lost
    stop_us: int | None = None  # the time of the stop record, as stored
    has_start: bool = False
    reference: str | None = None  # to the parent: names.CHILD_OF, FOLLOWS_FROM, or None without a parent
    parent_missing: bool = False  # it names a parent of which nothing is stored
    project: str | None = None
    service: str | None = None
    host: str | None = None
    pid: int | None = None
    process: dict[str, Any] = field(default_factory=dict)  # what else its process says of itself, as Jaeger has it
    start_info: dict[str, Any] = field(default_factory=dict)
    stop_info: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    logs: list[Log] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    error: str | None = None  # what kind, None: it did not fail
    skew_us: int = 0  # what ``skew.correct`` has added to its times
    payloads: dict[str, Any] = field(default_factory=dict)  # record name to the record as the store gave it
    children: list[SpanNode] = field(default_factory=list)  # by start

    @property
    def finished(self) -> bool:
        return self.duration_us is not None

    @property
    def end_us(self) -> int:
        """When it ended, or where it has not, when it was last heard of."""
        return self.start_us + (self.duration_us or 0)

    @property
    def detached(self) -> bool:
        """Whether the parent did not wait for it."""
        return self.reference == names.FOLLOWS_FROM

    @property
    def fork(self) -> str | None:
        """The fork whose branch this is."""
        name = self.tags.get(names.FORK)
        return None if name is None else str(name)

    @property
    def joined_forks(self) -> str | None:
        """If this is a join, the names of the forks whose branches come together here."""
        forks = self.tags.get(names.JOIN)
        return None if forks is None else str(forks)

    @property
    def fates(self) -> dict[str, int]:
        """How many branches of this join were still running, abandoned, ...: those that are not zero."""
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
    start_us: int = 0  # when the first span started, since the epoch
    end_us: int = 0  # when the last thing known happened
    unreadable: int = 0  # records that were no records
    report: Mapping[str, Any] | None = None  # in 4.4.0's shape, if that is what it was made of
    skews: dict[str, int] = field(default_factory=dict)  # host to what its clock has been corrected by, microseconds

    def walk(self) -> Iterator[tuple[int, SpanNode]]:
        """Every span with its depth, each before its children: the order of a tree on a page."""
        waiting = [(0, span) for span in reversed(self.roots)]
        while waiting:
            depth, span = waiting.pop()
            yield depth, span
            waiting.extend((depth + 1, child) for child in reversed(span.children))


def error_kind(info: object) -> str | None:
    """What failed according to the ``info`` of a stop record: the exception's type, or what the error tag says."""
    info = _mapping(info)
    kind = info.get("etype")
    if kind is not None:
        return str(kind)
    return tagged_error(_mapping(_mapping(info.get(names.RESERVED)).get("tags")))


def tagged_error(tags: Mapping[str, Any]) -> str | None:
    """What the tag ``error`` says: ``error`` if it only says that it is one, or the words of a tracer that puts those
    there, their first line."""
    flag = tags.get("error")
    if not isinstance(flag, str):
        return "error" if flag is True else None
    first = flag.strip().partition("\n")[0].rstrip()
    if first.lower() == "true":
        return "error"
    return first[:_ERROR_CHARS] if first.lower() not in _NO_ERROR else None


def _mapping(value: object) -> Mapping[str, Any]:
    """*value* if it is a mapping, else an empty one."""
    # What an abstract class is asked costs a microsecond, and each of hundreds of thousands of records asks.
    if type(value) is dict:
        return value
    return value if value is not None and isinstance(value, Mapping) else _NOTHING


def text(value: object) -> str | None:
    """*value* as a record's name of something; None where it names nothing."""
    return str(value) if value else None


def time_us(stamp: object) -> int:
    """A record's time stamp in microseconds since the epoch. Raises ValueError."""
    return microseconds(str(stamp))


def began_us(trace: Mapping[str, Any]) -> int:
    """When a listed trace began; 0, which is before any, where its time stamp cannot be read."""
    try:
        return time_us(trace.get("timestamp"))
    except ValueError:
        return 0


def from_records(records: Iterable[dict[str, Any]], payloads: Sequence[Any] | None = None) -> Trace:
    """The trace that *records* tell of, in any order. *payloads*: what to show of each, if not the record itself.

    What is no record is left out, and spans that share an id get ids of their own; ``osprofiler.records.unreadable``
    names both.
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
            _take_apart(trace, shared, [pair for pair in read if str(pair[0]["trace_id"]) in shared])
    trace.unreadable = ledger.skipped
    return linked(trace)


def _take_apart(trace: Trace, shared: Iterable[str], pairs: Sequence[tuple[dict[str, Any], Any]]) -> None:
    """Take *pairs*, the records and payloads of spans whose ids are *shared*, once more, each span under its own id."""
    for trace_id in shared:
        del trace.spans[trace_id]
    renamed: dict[str, str] = {}
    for span_id, (record, payload) in zip(shared_ids.spans_of([pair[0] for pair in pairs]), pairs, strict=True):
        take(trace, {**record, "trace_id": span_id}, payload)
        if span_id != str(record["trace_id"]):
            renamed[span_id] = str(record["trace_id"])
    for span_id, trace_id in renamed.items():
        what = f"several spans have the id {trace_id}; {trace.spans[span_id].name!r} is shown as {span_id}"
        unreadable.note(f"trace {trace.base_id}", what)


def _why(record: object, fault: Exception) -> Exception:
    """Why *record* is none: by the rule of records, or else *fault*."""
    try:
        checked(record)
    except Unreadable as why:
        return why
    return fault


class AnotherSpan(Exception):
    """The record is of another span than the one that has its id."""


def take(trace: Trace, record: dict[str, Any], payload: Any) -> None:
    """Add one record to its span in *trace*. Raises one of ``UNREADABLE`` if it is none, and AnotherSpan."""
    at_us = time_us(record["timestamp"])
    full_name, trace_id = str(record["name"]), str(record["trace_id"])
    name, phase = split_name(full_name)
    given = record.get("info")
    info: dict[str, Any] = dict(_mapping(given))
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
    extra = _mapping(info.pop(names.RESERVED, None))
    if phase == "start":
        # The stop record may have come first, and then stood in for this one.
        end_us = None if span.has_start or span.duration_us is None else span.end_us
        span.has_start, span.start_us, span.start_info = True, at_us, info
        if end_us is not None:
            span.duration_us = max(end_us - at_us, 0)
        span.operation = str(extra.get("operation") or "")
        span.reference = names.FOLLOWS_FROM if extra.get("parent") == names.FOLLOWS_FROM else None
        span.pid = extra["pid"] if isinstance(extra.get("pid"), int) else None
        span.process = dict(_mapping(extra.get("process")))
    else:
        span.duration_us = max(at_us - span.start_us, 0) if span.has_start else 0
        span.stop_us = at_us
        span.stop_info = info
        span.error = error_kind(given)
        _take_extra(span, extra)


def _take_extra(span: SpanNode, extra: Mapping[str, Any]) -> None:
    span.tags = dict(_mapping(extra.get("tags")))
    span.logs = [Log(int(at_us), dict(fields)) for at_us, fields in extra.get("logs") or ()]
    span.links = [Link(str(kind), str(base), str(point)) for kind, base, point in extra.get("links") or ()]


def linked(trace: Trace) -> Trace:
    """Put the spans of *trace* in order and under their parents; a parent loop is cut at its earliest span."""
    ordered = sorted(trace.spans.values(), key=lambda span: span.start_us)
    trace.spans = {span.trace_id: span for span in ordered}
    trace.roots = []
    trace.start_us = ordered[0].start_us if ordered else 0
    trace.end_us = max((span.end_us for span in ordered), default=0)
    for span in ordered:
        span.operation = span.operation or span.name
        span.children = []
    reached = _rooted(trace)
    for span in ordered:
        parent = trace.spans.get(span.parent_id)
        if parent is None or span.trace_id in reached:
            trace.roots.append(span)
            span.parent_missing = parent is None and span.parent_id not in ("", trace.base_id)
            span.reference = span.reference or names.CHILD_OF if span.parent_missing else None
        else:
            parent.children.append(span)
            span.reference = span.reference or names.CHILD_OF
    return trace


def _rooted(trace: Trace) -> set[str]:
    """The spans to cut parent loops at: of every loop the earliest one."""
    safe: set[str] = set()  # leads to a root, or to a loop that has been cut
    cuts: set[str] = set()
    for trace_id in trace.spans:  # by start, but the loop may hang below a later one: look for its earliest member
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
