# SPDX-License-Identifier: Apache-2.0
"""A span made of its two records, for transports that send only whole spans.

Service code has made the records, or another store holds them. The fields under the reserved key of ``info`` become
fields of the span, so the result equals a span that was sent when it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.records import ids, names, naming
from osprofiler.records.record import microseconds, split_name
from osprofiler.records.span_data import SAMPLED

_KINDS = frozenset((names.CHILD_OF, names.FOLLOWS_FROM))


class StoredSpan:
    """A span (see :class:`SpanData`) from its start and stop record, or from one of them.

    Raises KeyError, TypeError or ValueError if they are not records.
    """

    flags = SAMPLED
    has_verbatim_ids = True

    def __init__(self, start: dict[str, Any] | None, stop: dict[str, Any] | None) -> None:
        first = start or stop
        assert first is not None, "a span has a record"
        self.start_record = start
        self.start_info, start_extra = _divided(start)
        self.stop_info, stop_extra = _divided(stop)
        if not start_extra and not stop_extra:
            # So a reader makes records without this key again.
            self.start_info[names.RESERVED] = {}
        self.base_id = str(first["base_id"])
        self.trace_id = ids.trace_id_of(self.base_id)
        self.point_id = first["trace_id"]
        self.span_id = ids.span_id_of(self.point_id)
        self.parent_point_id = str(first["parent_id"])
        # Some tracers give a root span the low half of its trace id, so the id of a parent may be the base_id.
        has_parent = "parent" in start_extra if self.parent_point_id == self.base_id else self.parent_point_id != ""
        self.parent_span_id = ids.span_id_of(self.parent_point_id) if has_parent else 0
        self.follows = start_extra.get("parent") == names.FOLLOWS_FROM
        #: Project, service, host and pid; None if not known.
        self.process = first.get("project"), first.get("service"), self.start_info.get("host"), start_extra.get("pid")
        self.name: str | None = split_name(first["name"])[0]
        self.operation_name = str(start_extra.get("operation") or naming.operation(self.name, self.start_info))
        self.start_us = microseconds(first["timestamp"])
        self.duration_us = max(microseconds(stop["timestamp"]) - self.start_us, 0) if stop else 0
        self.own_logs = [(int(at_us), dict(fields)) for at_us, fields in stop_extra.get("logs") or ()]
        self.links = [_link(*link) for link in stop_extra.get("links") or ()]
        keys = self.start_info.keys() | self.stop_info.keys()
        if start_extra and self.name == self.operation_name and not keys - {"host"}:
            # This is not a trace point. It has only tags, and some of them may look like our info.
            self.name, self.start_info, self.stop_info = None, {}, {}
        self.own_tags: dict[str, Any] = dict(stop_extra.get("tags") or {})
        if self.stop_info.get("etype"):
            self.own_tags.setdefault("error", True)
        if self.point_id != ids.point_uuid(ids.point_prefix(self.trace_id), self.span_id):
            self.own_tags[names.POINT_ID] = self.point_id
        if start is None:
            self.own_tags[names.START_LOST] = True
        if stop is None:
            self.own_tags[names.UNFINISHED] = True

    def head(self) -> tuple[int, str, int, int, bool]:
        return self.trace_id, self.operation_name, self.start_us, self.duration_us, self.has_verbatim_ids


def _divided(record: Mapping[str, Any] | None) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The info of *record* without its reserved key, and the fields under that key, if it is ours."""
    info = record.get("info") if record else None
    plain = dict(info) if isinstance(info, Mapping) else {}
    extra = plain.get(names.RESERVED)
    if not isinstance(extra, Mapping) or not extra:
        return plain, {}
    del plain[names.RESERVED]
    return plain, extra


def _link(kind: str, base_id: str, point_id: str) -> tuple[str, int, int]:
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of reference: {kind!r}")
    return kind, ids.trace_id_of(base_id), ids.span_id_of(point_id)
