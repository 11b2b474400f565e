# SPDX-License-Identifier: Apache-2.0
"""Jaeger's thrift structures, and their encoding in the compact protocol: a packet to an agent.

The C codec of the thrift package encodes them, 20 times faster than its Python codec. It wants lists where
``thrift_spec`` has tuples (the type of a struct), three items for the type of a list, and "UTF8" as the argument of a
string. If thrift was installed without the C codec, the Python codec gets the same structures and specs. The structs of
a message are encoded one by one, so that the size of each is known and a bad one does not affect the others.

Source: jaeger-idl, ``thrift/jaeger.thrift`` and ``agent.thrift``; Thrift's protocol specifications.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

try:
    from thrift.protocol import fastbinary
except ImportError:
    fastbinary = None

CHILD_OF, FOLLOWS_FROM = 0, 1

#: The most bytes that a message takes in addition to its process and spans.
MESSAGE_OVERHEAD = 32


class _Struct:
    __slots__ = ()
    spec: tuple[Any, ...]

    def write(self, protocol: Any) -> None:
        """Thrift's Python protocols call this for a nested struct."""
        protocol.writeStruct(self, self.spec)


def _field(number: int, kind: int, name: str, argument: Any = None) -> tuple[Any, ...]:
    return (number, kind, name, "UTF8" if kind == TType.STRING else argument, None)


def _list_of(item: type[_Struct]) -> tuple[Any, ...]:
    return (TType.STRUCT, [item, item.spec], False)


class Tag(_Struct):
    """A tag. Each subclass sets one value field. The others are None and are not written."""

    __slots__ = ("key",)
    key: str
    spec = (
        None,
        _field(1, TType.STRING, "key"),
        _field(2, TType.I32, "vType"),
        _field(3, TType.STRING, "vStr"),
        _field(4, TType.DOUBLE, "vDouble"),
        _field(5, TType.BOOL, "vBool"),
        _field(6, TType.I64, "vLong"),
    )
    vType: int
    vStr: str | None = None
    vDouble: float | None = None
    vBool: bool | None = None
    vLong: int | None = None


class StringTag(Tag):
    """A tag that is text."""

    __slots__ = ("vStr",)
    vType = 0
    vStr: str

    def __init__(self, key: str, value: str) -> None:
        self.key = key
        self.vStr = value


class DoubleTag(Tag):
    """A tag that is a floating-point number."""

    __slots__ = ("vDouble",)
    vType = 1

    def __init__(self, key: str, value: float) -> None:
        self.key = key
        self.vDouble = value


class BoolTag(Tag):
    """A tag that is true or false."""

    __slots__ = ("vBool",)
    vType = 2

    def __init__(self, key: str, value: bool) -> None:
        self.key = key
        self.vBool = value


class LongTag(Tag):
    """A tag that is a whole number of 64 bits."""

    __slots__ = ("vLong",)
    vType = 3

    def __init__(self, key: str, value: int) -> None:
        self.key = key
        self.vLong = value


class Log(_Struct):
    """Fields at a time, in microseconds since the epoch."""

    __slots__ = ("fields", "timestamp")
    spec = (None, _field(1, TType.I64, "timestamp"), _field(2, TType.LIST, "fields", _list_of(Tag)))

    def __init__(self, timestamp: int, fields: list[Tag]) -> None:
        self.timestamp = timestamp
        self.fields = fields


class SpanRef(_Struct):
    """A reference; ids are signed 64-bit integers."""

    __slots__ = ("refType", "spanId", "traceIdHigh", "traceIdLow")
    spec = (
        None,
        _field(1, TType.I32, "refType"),
        _field(2, TType.I64, "traceIdLow"),
        _field(3, TType.I64, "traceIdHigh"),
        _field(4, TType.I64, "spanId"),
    )

    def __init__(self, kind: int, trace_id: int, span_id: int) -> None:
        self.refType = kind
        self.traceIdLow, self.traceIdHigh = signed(trace_id), signed(trace_id >> 64)
        self.spanId = signed(span_id)


class Span(_Struct):
    """A span; ids are signed 64-bit integers, times in microseconds."""

    __slots__ = (
        "duration",
        "flags",
        "logs",
        "operationName",
        "parentSpanId",
        "references",
        "spanId",
        "startTime",
        "tags",
        "traceIdHigh",
        "traceIdLow",
    )
    spec = (
        None,
        _field(1, TType.I64, "traceIdLow"),
        _field(2, TType.I64, "traceIdHigh"),
        _field(3, TType.I64, "spanId"),
        _field(4, TType.I64, "parentSpanId"),
        _field(5, TType.STRING, "operationName"),
        _field(6, TType.LIST, "references", _list_of(SpanRef)),
        _field(7, TType.I32, "flags"),
        _field(8, TType.I64, "startTime"),
        _field(9, TType.I64, "duration"),
        _field(10, TType.LIST, "tags", _list_of(Tag)),
        _field(11, TType.LIST, "logs", _list_of(Log)),
    )
    traceIdLow: int
    traceIdHigh: int
    spanId: int
    parentSpanId: int
    operationName: str
    references: list[SpanRef] | None
    flags: int
    startTime: int
    duration: int
    tags: list[Tag]
    logs: list[Log] | None


class Process(_Struct):
    """The process of a batch: its service name and tags."""

    __slots__ = ("serviceName", "tags")
    spec = (None, _field(1, TType.STRING, "serviceName"), _field(2, TType.LIST, "tags", _list_of(Tag)))

    def __init__(self, service: str, tags: list[Tag]) -> None:
        self.serviceName = service
        self.tags = tags


def signed(value: int) -> int:
    """The low 64 bits of *value* as thrift's signed integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def encode(item: _Struct) -> bytes:
    """Encode one struct. Raises UnicodeError, OverflowError or TypeError for a value that the protocol cannot hold."""
    if fastbinary is not None:
        data: bytes = fastbinary.encode_compact(item, [type(item), item.spec])
        return data
    buffer = TMemoryBuffer()
    item.write(TCompactProtocol(buffer))
    written: bytes = buffer.getvalue()
    return written


_HEAD = bytes((0x82, 0x81, 0x00)) + b"\x09emitBatch"  # protocol, version 1 and oneway, sequence number, name


def message(process: bytes, spans: Sequence[bytes]) -> bytes:
    """The one-way call ``emitBatch`` of an encoded process and encoded spans: one UDP packet to an agent."""
    count = len(spans)
    head = bytes((count << 4 | 0x0C,)) if count < 15 else b"\xfc" + _varint(count)
    # argument 1: the batch; its field 1: the process; field 2: the list of spans; the ends of both structs
    return b"".join((_HEAD, b"\x1c\x1c", process, b"\x19", head, *spans, b"\x00\x00"))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
