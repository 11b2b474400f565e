# SPDX-License-Identifier: Apache-2.0
"""Writes spans in Jaeger's thrift structures and thrift's binary protocol: the body of a request to a collector.

Numbers have a fixed width in this protocol. So a span is one packing of all its numbers, some strings, and for each tag
a head, made once for each name, and a value. This takes half the time of thrift's structures and its C codec.

Source: jaeger-idl, ``thrift/jaeger.thrift``; Thrift's specification of the binary protocol: a field is its type (one
byte), its number (two bytes) and its value, big-endian; a struct ends with a zero byte.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any

from osprofiler.records.flattening import flatten, tag_name
from osprofiler.records.names import CHILD_OF, FOLLOWS_FROM, NAME
from osprofiler.records.semconv import SHAPES
from osprofiler.records.span_data import SpanData
from osprofiler.records.span_tags import conventional, identity

_BOOL, _DOUBLE, _I32, _I64, _STRING, _STRUCT, _LIST = b"\x02", b"\x04", b"\x08", b"\x0a", b"\x0b", b"\x0c", b"\x0f"
_END = b"\0"

_length = Struct(">i").pack
_long = Struct(">qx").pack  # with the zero byte that ends its tag
_double = Struct(">dx").pack
_MASK_64 = (1 << 64) - 1
_CACHED_TRACES = 256  # a batch holds many spans of few traces
_CACHED_NAMES = 4096
_LINKS = {CHILD_OF: 0, FOLLOWS_FROM: 1}


def _field(kind: bytes, number: int) -> bytes:
    return kind + number.to_bytes(2, "big")


def _list(number: int) -> bytes:
    return _field(_LIST, number) + _STRUCT


def _text(value: str) -> bytes:
    data = value.encode()
    return _length(len(data)) + data


class _Cache(dict[str, bytes]):
    """The results of *make* for strings that many spans have."""

    def __init__(self, make: Callable[[str], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> bytes:
        made = self._make(key)
        if len(self) >= _CACHED_NAMES:
            self.clear()  # the usual strings soon come again; rare ones must not fill the cache
        self[key] = made
        return made


class _Heads:
    """The head of a tag, before its value, for each kind of value: field 1 is the name, field 2 the kind.

    With *prefix* the names are keys of info.
    """

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix
        self.strings = self._cache(0, _field(_STRING, 3))
        self.doubles = self._cache(1, _field(_DOUBLE, 4))
        self.bools = self._cache(2, _field(_BOOL, 5))
        self.longs = self._cache(3, _field(_I64, 6))

    def _cache(self, kind: int, value: bytes) -> _Cache:
        middle = _field(_I32, 2) + _length(kind) + value
        prefix = self.prefix
        return _Cache(
            lambda name: _field(_STRING, 1) + _text(name if prefix is None else tag_name(prefix, name)) + middle
        )

    def others(self, pairs: list[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
        """The tags of values that are not of one of Jaeger's kinds."""
        if self.prefix is None:
            return [(name, json.dumps(value, default=str)) for name, value in pairs]
        return flatten(dict(pairs), self.prefix)


_OWN, _START_INFO, _STOP_INFO = _Heads(), _Heads("start"), _Heads("stop")
_operations = _Cache(lambda name: _field(_STRING, 5) + _text(name))
_point_names = _Cache(lambda name: _OWN.strings[NAME] + _text(name) + _END)


def _add_tags(parts: list[bytes], pairs: Iterable[tuple[str, Any]], heads: _Heads = _OWN) -> int:
    """Add the tags of *pairs*, each of the type of its value. Return how many tags that were."""
    strings, longs = heads.strings, heads.longs
    others: list[tuple[str, Any]] | None = None
    number = 0
    for name, value in pairs:
        kind = type(value)
        number += 1
        if kind is str:
            data = value.encode()
            parts += (strings[name], _length(len(data)), data, _END)
        elif kind is int:
            parts += (longs[name], _long(value))
        elif kind is bool:
            parts += (heads.bools[name], b"\1\0" if value else b"\0\0")
        elif kind is float:
            parts += (heads.doubles[name], _double(value))
        else:
            others = [*(others or ()), (name, value)]
    if others:
        number += _add_tags(parts, heads.others(others)) - len(others)
    return number


_ONE_REFERENCE = Struct(">3si3sQ3sQ3sQx")
_KIND, _LOW, _HIGH, _SPAN = _field(_I32, 1), _field(_I64, 2), _field(_I64, 3), _field(_I64, 4)


def _reference(kind: int, trace_id: int, span_id: int) -> bytes:
    return _ONE_REFERENCE.pack(_KIND, kind, _LOW, trace_id & _MASK_64, _HIGH, trace_id >> 64, _SPAN, span_id)


@functools.lru_cache(_CACHED_TRACES)
def _trace(trace_id: int) -> bytes:
    low, high = (trace_id & _MASK_64).to_bytes(8, "big"), (trace_id >> 64).to_bytes(8, "big")
    return _field(_I64, 1) + low + _field(_I64, 2) + high


#: The other numbers of a span, and the head and length of the list of tags.
_numbers = Struct(">3sQ3sQ3si3sq3sq4si").pack
_SPAN_ID, _PARENT_ID, _FLAGS = _field(_I64, 3), _field(_I64, 4), _field(_I32, 7)
_START, _DURATION, _TAGS = _field(_I64, 8), _field(_I64, 9), _list(10)
_REFERENCES, _LOGS = _list(6), _list(11)
_TIME, _FIELDS = _field(_I64, 1), _list(2)
_at = Struct(">3sq4si").pack


def span(item: SpanData) -> bytes:
    """A finished span. Raises UnicodeError or struct.error for a value that the protocol cannot hold."""
    trace_id, operation, start_us, duration_us, has_verbatim_ids = item.head()
    parent, name, info = item.parent_span_id, item.name, item.start_info
    # The same tags as span_tags.tags_of, without making the pairs.
    tags = [] if name is None else [_point_names[name]]
    number = len(tags)
    if item.own_tags:
        number += _add_tags(tags, item.own_tags.items())
    if has_verbatim_ids:
        number += _add_tags(tags, identity(item))
    if info:
        if not SHAPES.isdisjoint(info):
            number += _add_tags(tags, conventional(item))
        number += _add_tags(tags, info.items(), _START_INFO)
    if item.stop_info:
        number += _add_tags(tags, item.stop_info.items(), _STOP_INFO)
    numbers = _numbers(
        _SPAN_ID,
        item.span_id,
        _PARENT_ID,
        # Jaeger's own parent field means ChildOf.
        0 if item.follows else parent,
        _FLAGS,
        item.flags & 0xFF,
        _START,
        start_us,
        _DURATION,
        duration_us,
        _TAGS,
        number,
    )
    parts = [_trace(trace_id), _operations[operation], numbers, *tags]
    if item.links or (item.follows and parent):
        references = [_reference(1, trace_id, parent)] if item.follows and parent else []
        references += [_reference(_LINKS[kind], trace_id, span_id) for kind, trace_id, span_id in item.links or ()]
        parts += (_REFERENCES, _length(len(references)), *references)
    if item.own_logs:
        parts += (_LOGS, _length(len(item.own_logs)))
        for at_us, fields in item.own_logs:
            parts.append(_at(_TIME, at_us, _FIELDS, len(fields)))
            _add_tags(parts, fields.items())
            parts.append(_END)
    parts.append(_END)
    return b"".join(parts)


def process(service: str, tags: Mapping[str, Any]) -> bytes:
    """The process of a batch: its service name and tags."""
    parts = [_field(_STRING, 1), _text(service), _list(2), _length(len(tags))]
    _add_tags(parts, tags.items())
    return b"".join((*parts, _END))


def message(process: bytes, spans: Sequence[bytes]) -> bytes:
    """A ``Batch`` of an encoded process and encoded spans."""
    return b"".join((_field(_STRUCT, 1), process, _list(2), _length(len(spans)), *spans, _END))
