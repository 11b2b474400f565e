# SPDX-License-Identifier: Apache-2.0
"""Our thrift messages, read back by jaeger-client's generated classes; the C codec and the Python one alike."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaeger_client.thrift_gen.agent import Agent
from jaeger_client.thrift_gen.jaeger import ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from osprofiler.opentracing_compat.reporting import thrift_codec as codec
from osprofiler.opentracing_compat.reporting.jaeger_spans import tag

I64 = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TAGS = st.lists(st.builds(tag, TEXT, TEXT | st.booleans() | I64 | st.floats(allow_nan=False)), max_size=20)
UNSIGNED = st.integers(0, (1 << 128) - 1)


@st.composite
def spans(draw: st.DrawFn) -> codec.Span:
    span = codec.Span()
    span.traceIdLow, span.traceIdHigh, span.spanId, span.parentSpanId = (draw(I64) for _ in range(4))
    span.operationName = draw(TEXT)
    span.references = draw(
        st.none() | st.lists(st.builds(codec.SpanRef, st.sampled_from((0, 1)), UNSIGNED, UNSIGNED), max_size=20)
    )
    span.flags = draw(st.integers(0, 255))
    span.startTime, span.duration = draw(I64), draw(I64)
    span.tags = draw(TAGS)
    span.logs = draw(st.none() | st.lists(st.builds(codec.Log, I64, TAGS), max_size=4))
    return span


PROCESSES = st.builds(codec.Process, TEXT, TAGS)


def plain(item: object) -> object:
    """A struct as nested tuples, ours and jaeger-client's alike; what is None is not on the wire."""
    if isinstance(item, list):
        return [plain(one) for one in item]
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


WIRES = pytest.mark.parametrize(
    ("wire", "read"), [(codec.Compact(), read_compact), (codec.Binary(), read_binary)], ids=["compact", "binary"]
)


@WIRES
@settings(max_examples=60, deadline=None)
@given(process=PROCESSES, batch=st.lists(spans(), max_size=20))
def test_a_message_reads_back_whole(wire, read, process, batch) -> None:  # type: ignore[no-untyped-def]
    data = wire.message(wire.encode(process), [wire.encode(span) for span in batch])
    result = read(data)
    assert plain(result.process) == plain(process)
    assert plain(result.spans) == plain(batch)


@pytest.mark.skipif(codec.fastbinary is None, reason="this thrift was built without its C codec")
@WIRES
@settings(max_examples=60, deadline=None)
@given(span=spans())
def test_both_codecs_write_the_same_bytes(wire, read, span) -> None:  # type: ignore[no-untyped-def]
    in_c = wire.encode(span)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "fastbinary", None)
        assert wire.encode(span) == in_c


@WIRES
@pytest.mark.parametrize("number", [0, 1, 14, 15, 16, 127, 128, 300])
def test_every_length_of_a_batch(wire, read, number) -> None:  # type: ignore[no-untyped-def]
    span = codec.Span()
    for _, _, name, *_ in codec.Span.spec[1:]:
        setattr(span, name, {"operationName": "x", "tags": []}.get(name, 1))
    span.references = span.logs = None
    process, one = wire.encode(codec.Process("s", [])), wire.encode(span)
    data = wire.message(process, [one] * number)
    assert len(read(data).spans) == number
    assert len(data) <= len(process) + number * len(one) + codec.MESSAGE_OVERHEAD


@pytest.mark.parametrize("wire", [codec.Compact(), codec.Binary()], ids=["compact", "binary"])
@pytest.mark.parametrize("c_codec", [True, False], ids=["C", "Python"])
@pytest.mark.parametrize("bad", [tag("k", 1 << 63), tag("k", "\ud800")], ids=["too long a number", "half a character"])
def test_what_cannot_be_written_is_refused_not_written_wrongly(  # type: ignore[no-untyped-def]
    wire, c_codec, bad, monkeypatch
) -> None:
    if not c_codec:
        monkeypatch.setattr(codec, "fastbinary", None)
    with pytest.raises(Exception, match=r"i64|int too|surrogates"):
        wire.encode(codec.Process("s", [bad]))


def test_ids_are_signed() -> None:
    assert [codec.signed(value) for value in (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64)] == [
        0,
        1,
        (1 << 63) - 1,
        -(1 << 63),
        -1,
        0,
    ]
