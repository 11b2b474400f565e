# SPDX-License-Identifier: Apache-2.0
"""jaeger-client's generated classes read our thrift messages, from the C codec and from the Python one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaeger_client.thrift_gen.agent import Agent
from jaeger_client.thrift_gen.jaeger import ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery import jaeger_spans, thrift_binary
from osprofiler.delivery import thrift_compact as compact
from osprofiler.delivery.jaeger_spans import tag
from osprofiler.tracer.span import Span
from osprofiler.tracer.tracer import Tracer

I64 = st.integers(-(1 << 63), (1 << 63) - 1)
U64 = st.integers(1, (1 << 64) - 1)
UNSIGNED = st.integers(1, (1 << 128) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = TEXT | st.booleans() | I64 | st.floats(allow_nan=False)
TAGS = st.dictionaries(TEXT, PLAIN, max_size=20)
INFO = st.dictionaries(
    TEXT,
    st.recursive(
        PLAIN | st.none(), lambda s: st.lists(s, max_size=3) | st.dictionaries(TEXT, s, max_size=3), max_leaves=6
    ),
    max_size=6,
)
LINKS = st.lists(st.tuples(st.sampled_from(("child_of", "follows_from")), UNSIGNED, U64), max_size=20)
SHAPES = st.sampled_from(({}, {"request": {"method": "GET", "path": "/"}}, {"db": {"statement": "SELECT 1"}}))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Finished spans with any values that the facade accepts, in any field."""
    base_id = draw(st.uuids().map(str) | st.uuids().map(lambda one: one.hex) | TEXT)
    origin = Origin.from_osprofiler("k", base_id or None, draw(st.none() | st.uuids().map(str) | TEXT))
    tracer = Tracer("test")
    info = {**draw(INFO), **draw(SHAPES)}
    point = tracer.open_point(Point(None, None, origin), draw(TEXT), info, follows=draw(st.booleans()))
    span = point.span
    assert span is not None
    span.span_id, span.flags = draw(U64), draw(st.integers(0, 255)) | 1
    for name, value in draw(TAGS).items():
        span.set_tag(name, value)
    for fields in draw(st.lists(TAGS, max_size=2)):
        span.log_kv(fields, draw(st.floats(0, 2e9)))
    span.links = draw(st.none() | LINKS)
    point.end(draw(st.none() | INFO))
    span.start_tick = draw(I64) * 1000 - origin.epoch_ns
    span.end_tick = span.start_tick + draw(I64) * 1000
    return span


def plain(item: object) -> object:
    """A struct, ours or jaeger-client's, as nested lists. None is not sent, and the order of tags has no meaning."""
    if isinstance(item, list):
        return (
            sorted((plain(one) for one in item), key=repr)
            if item and hasattr(item[0], "key")
            else list(map(plain, item))
        )
    fields = getattr(type(item), "spec", None) or getattr(type(item), "thrift_spec", None)
    if fields is None:
        return item
    values = [(field[2], plain(getattr(item, field[2]))) for field in fields if field]
    return [(name, value) for name, value in values if value is not None]


def read_compact(data: bytes) -> ttypes.Batch:
    protocol = TCompactProtocol(TMemoryBuffer(data))
    assert protocol.readMessageBegin() == ("emitBatch", 4, 0)  # 4: a one-way call
    call = Agent.emitBatch_args()
    call.read(protocol)
    assert not protocol.trans.read(1)
    return call.batch


def read_binary(data: bytes) -> ttypes.Batch:
    buffer = TMemoryBuffer(data)
    batch = ttypes.Batch()
    batch.read(TBinaryProtocol(buffer))
    assert not buffer.read(1)
    return batch


class Compact:
    process = staticmethod(jaeger_spans.process)
    span = staticmethod(lambda span: jaeger_spans.encode(span, 1 << 30))
    message = staticmethod(compact.message)
    read = staticmethod(read_compact)


class Binary:
    process = staticmethod(thrift_binary.process)
    span = staticmethod(thrift_binary.span)
    message = staticmethod(thrift_binary.message)
    read = staticmethod(read_binary)


WIRES = pytest.mark.parametrize("wire", [Compact, Binary])


@WIRES
@settings(max_examples=60)
@given(service=TEXT, tags=TAGS, batch=st.lists(spans(), max_size=2))
def test_a_message_reads_back_whole(wire, service, tags, batch) -> None:  # type: ignore[no-untyped-def]
    result = wire.read(wire.message(wire.process(service, tags), [wire.span(span) for span in batch]))
    process = compact.Process(service, [tag(name, value) for name, value in tags.items()])
    assert plain(result.process) == plain(process)
    assert plain(result.spans) == plain([jaeger_spans.convert(span) for span in batch])


@pytest.mark.skipif(compact.fastbinary is None, reason="this thrift was built without its C codec")
@settings(max_examples=60)
@given(span=spans())
def test_both_codecs_write_the_same_bytes(span: Span) -> None:
    made = jaeger_spans.convert(span)
    in_c = compact.encode(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "fastbinary", None)
        assert compact.encode(made) == in_c


def one_span(**info: object) -> Span:
    tracer = Tracer("test")
    point = tracer.open_point(Point(None, None, Origin.from_osprofiler("k")), "p", info)
    point.end()
    assert point.span is not None
    return point.span


@WIRES
@pytest.mark.parametrize("number", [0, 1, 14, 15, 16, 127, 128, 300])
def test_every_length_of_a_batch(wire, number) -> None:  # type: ignore[no-untyped-def]
    process, one = wire.process("s", {}), wire.span(one_span())
    data = wire.message(process, [one] * number)
    assert len(wire.read(data).spans) == number
    assert len(data) <= len(process) + number * len(one) + compact.MESSAGE_OVERHEAD


@WIRES
@pytest.mark.parametrize("c_codec", [True, False], ids=["C", "Python"])
@pytest.mark.parametrize("bad", [1 << 63, "\ud800"], ids=["too long a number", "half a character"])
def test_what_cannot_be_written_is_refused_not_written_wrongly(  # type: ignore[no-untyped-def]
    wire, c_codec, bad, monkeypatch
) -> None:
    if not c_codec:
        monkeypatch.setattr(compact, "fastbinary", None)
    span = one_span()
    span.own_tags = {"k": bad}
    with pytest.raises(Exception, match=r"i64|int too|surrogates|format requires|argument out of range"):
        wire.span(span)


def test_the_names_kept_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made = thrift_binary._Cache(lambda name: name.encode())
    monkeypatch.setattr(thrift_binary, "_CACHED_NAMES", 3)
    assert [made[str(number)] for number in range(9)] == [str(number).encode() for number in range(9)]
    assert 0 < len(made) <= 3
    assert made["8"] == b"8"


def test_ids_are_signed() -> None:
    assert [compact.signed(value) for value in (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64)] == [
        0,
        1,
        (1 << 63) - 1,
        -(1 << 63),
        -1,
        0,
    ]
