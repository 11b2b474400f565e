# SPDX-License-Identifier: Apache-2.0
"""Each wire format alone: what is written, what is read, and that everything else is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler import _utils
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import b3, binary, carriers, jaeger, osprofiler, signed, w3c
from osprofiler.propagation.formats import MAX_FIELD_CHARS, Malformed, Remote, starting
from osprofiler.records import ids

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN = 0x00F067AA0BA902B7

trace_ids = st.one_of(st.integers(1, 2**64 - 1), st.integers(1, 2**128 - 1))
span_ids = st.integers(1, 2**64 - 1)
flag_bytes = st.integers(0, 255)

# Text near enough to be mistaken for a field, and text that is nothing of the kind.
near = st.text(alphabet="0123456789abcdefABCDEF:-_ xX%\t\u0661\u00b2", max_size=80)
hostile = st.one_of(near, st.text(max_size=200), st.text(min_size=4000, max_size=9000))


@given(trace_ids, span_ids, st.integers(0, 2**64 - 1), flag_bytes)
def test_jaeger_reads_what_it_writes(trace: int, span: int, parent: int, flags: int) -> None:
    assert jaeger.decode(jaeger.encode(trace, span, parent, flags)) == Remote(trace, span, flags)


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1", Remote(TRACE, SPAN, 1)),
        ("4BF92F3577B34DA6A3CE929D0E0E4736%3A00F067AA0BA902B7%3A0%3A3", Remote(TRACE, SPAN, 3)),
        ("1:2:3:0", Remote(1, 2, 0)),
    ],
)
def test_jaeger_reads_its_documented_forms(text: str, remote: Remote) -> None:
    assert jaeger.decode(text) == remote


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "0:1:0:1",
        "1:0:0:1",
        "0x1:1:0:1",
        "1_0:1:0:1",
        " 1:1:0:1",
        "1:1:0:1\n",
        "1:1:0",
        "1:1:0:1:1",
        "1:1:0:1,1:1:0:1",
        "-1:1:0:1",
        "1:1:0:100",
        "\u0661:1:0:1",
        "1" * 33 + ":1:0:1",
        "1:" + "1" * 17 + ":0:1",
        "%31" * 4000,
    ],
)
def test_jaeger_refuses(text: str) -> None:
    with pytest.raises(Malformed):
        jaeger.decode(text)


def test_jaeger_baggage_goes_both_ways() -> None:
    baggage = {"user-id": "42", "name": "Zo\u00eb, 100 %"}
    fields = dict(jaeger.encode_baggage(baggage))
    assert fields["uberctx-user-id"] == "42"
    assert all(value.isascii() for value in fields.values())
    assert jaeger.decode_baggage(fields) == baggage
    assert jaeger.decode_baggage({"jaeger-baggage": "a=1, b=2,c", "uber-trace-id": "x"}) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("key", ["a b", "a\r\nX-Evil: 1", "", "\u00e9", "a:b", "k" * 300])
def test_jaeger_baggage_that_no_header_can_hold_is_left_out(key: str) -> None:
    assert dict(jaeger.encode_baggage({key: "v", "good": "1"})) == {"uberctx-good": "1"}


def test_jaeger_baggage_from_another_wire_is_written_whatever_it_is() -> None:
    baggage: Any = {"lone": "\ud800", "number": 5, 7: "seven"}
    assert dict(jaeger.encode_baggage(baggage)) == {"uberctx-lone": "%3F", "uberctx-number": "5", "uberctx-7": "seven"}
    _, read = binary.decode(binary.encode(1, 1, 0, 0, baggage))
    assert read == {"lone": "?", "number": "5", "7": "seven"}


WSGI_KEYS = ["wsgi.input", "HTTP_", "UBERCTX_K", "HTTP_UBERCTX_", "HTTP_UBERCTX_A_B", "HTTP_UBERCTX_a"]


@given(st.dictionaries(st.sampled_from(WSGI_KEYS), st.text()))
def test_names_that_start_alike_are_found_in_a_wsgi_environment_as_in_a_dictionary(environ: dict[str, str]) -> None:
    fields = carriers.Environ(environ)
    names = starting(fields, "uberctx-")
    assert names == starting(dict(fields), "uberctx-")
    assert set(names) == {name for name in ("uberctx-", "uberctx-a-b") if carriers.environ_key(name) in environ}


def test_a_wsgi_environment_is_read_with_any_number_of_names() -> None:
    fields = carriers.Environ({f"HTTP_X_{number}": f"{number}" for number in range(1000)})
    assert [fields.get(f"x-{number}") for number in range(1001)] == [*(f"{number}" for number in range(1000)), None]
    assert len(carriers._keys) <= carriers._MAX_KEYS


def test_jaeger_baggage_is_bounded_in_and_out() -> None:
    big = {f"k{i}": "v" * 1000 for i in range(100)}
    assert sum(map(len, dict(jaeger.encode_baggage(big)).values())) <= MAX_FIELD_CHARS
    assert sum(map(len, jaeger.decode_baggage({f"uberctx-k{i}": "v" * 1000 for i in range(100)}).values())) <= (
        MAX_FIELD_CHARS
    )


@given(trace_ids, span_ids, flag_bytes)
def test_w3c_reads_what_it_writes(trace: int, span: int, flags: int) -> None:
    assert w3c.decode(w3c.encode(trace, span, flags)) == Remote(trace, span, flags & 1)


@pytest.mark.parametrize(
    ("text", "flags", "w3c_flags"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 1, 0),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", 0, 0),
        # Level 2's random bit, and bits yet to be named
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", 1, 2),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", 0, 2),
        # a later version may be longer
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future", 1, 0),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 1, 0),
        # white space around a header is not its value
        (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\t", 1, 0),
    ],
)
def test_w3c_reads_what_the_recommendation_allows(text: str, flags: int, w3c_flags: int) -> None:
    assert w3c.decode(text) == Remote(TRACE, SPAN, flags, w3c_flags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-" + "x" * 1000,
    ],
)
def test_w3c_refuses(text: str) -> None:
    with pytest.raises(Malformed):
        w3c.decode(text)


def test_w3c_tracestate_is_handed_on_or_refused() -> None:
    vendors = ",".join(f"vendor{number}={'v' * 250}" for number in range(4))
    for text in ("congo=t61rcWkgMzE,rojo=00f067", "foo=1 \t , \t bar=2, \t baz=3", "a=1,,b=2", vendors):
        assert w3c.tracestate(text) == w3c.tracestate(f" {text}\t") == text
    for text in ("", "no list", "a=1\r\nX-Evil: 1", "a=\u00e9", "a=" + "1" * 5000):
        with pytest.raises(Malformed):
            w3c.tracestate(text)


@given(trace_ids, span_ids, st.sampled_from([0, 1, 3]))
def test_b3_reads_what_it_writes(trace: int, span: int, flags: int) -> None:
    fields = {key.lower(): value for key, value in b3.encode(trace, span, 7, flags).items()}
    assert b3.decode(fields) == Remote(trace, span, flags)


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90"}, 1),
        ({"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d"}, 3),
        ({"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0"}, 0),
        ({"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1"}, None),
        ({"x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7", "x-b3-spanid": "e457b5a2e4d86bd1"}, None),
        (
            {
                "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
                "x-b3-spanid": "e457b5a2e4d86bd1",
                "x-b3-sampled": "0",
            },
            0,
        ),
        (
            {"x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7", "x-b3-spanid": "e457b5a2e4d86bd1", "x-b3-flags": "1"},
            3,
        ),
    ],
)
def test_b3_reads_both_forms(fields: dict[str, str], flags: int | None) -> None:
    """Without flags, the sender leaves the decision to the receiver."""
    ids = 0x80F198EE56343BA864FE8B2A57D3EFF7, 0xE457B5A2E4D86BD1
    assert b3.decode(fields) == Remote(*ids, flags or 0, decided=flags is not None)


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"b3": "0"}, 0),
        ({"b3": "1"}, 1),
        ({"b3": "d"}, 3),
        ({"x-b3-sampled": "0"}, 0),
        ({"x-b3-sampled": "1"}, 1),
        ({"x-b3-flags": "1"}, 3),
    ],
)
def test_b3_reads_a_decision_without_a_trace(fields: dict[str, str], flags: int) -> None:
    assert b3.decode(fields) == Remote(0, 0, flags)
    assert b3.decode({}) is None


# W3C Baggage (section 3.3.1): any characters in values, percent-encoded; its limits: 64 items, 8,192 characters


@given(st.dictionaries(st.text("abcdefghijXYZ019._-~", min_size=1, max_size=20), st.text(max_size=40), max_size=20))
def test_w3c_baggage_goes_both_ways(baggage: dict[str, str]) -> None:
    text = w3c.encode_baggage(baggage)
    assert text.isascii()
    assert not set(text) & set('\r\n "\\')
    known = {key: value.encode("utf-8", "replace").decode() for key, value in baggage.items()}
    assert w3c.decode_baggage(text) == known


@pytest.mark.parametrize(
    ("text", "baggage"),
    [
        ("", {}),
        ("SomeKey=SomeValue", {"SomeKey": "SomeValue"}),
        (" a = 1 ,\tb=2;prop=x;other , c=%E2%82%AC", {"a": "1", "b": "2", "c": "\u20ac"}),
        ("a=1=2", {"a": "1=2"}),
        ("no value,=no key,b\u00e4d=1,good=1", {"good": "1"}),
    ],
)
def test_w3c_baggage_reads_what_the_specification_allows(text: str, baggage: dict[str, str]) -> None:
    assert w3c.decode_baggage(text) == baggage


def test_w3c_baggage_is_bounded() -> None:
    many = {f"key{number}": "v" for number in range(200)}
    assert len(w3c.decode_baggage(w3c.encode_baggage(many))) == 64
    assert len(w3c.decode_baggage(",".join(f"{key}=v" for key in many))) == 64
    assert w3c.encode_baggage({"big": "v" * 9000, "small": "1"}) == "small=1"
    assert len(w3c.encode_baggage({f"k{number}": "v" * 1000 for number in range(64)})) <= 8192


def test_jaegers_ids_are_written_with_all_their_digits() -> None:
    """As the W3C's and other readers want them."""
    assert jaeger.encode(0xABC, 0xDEF, 0x1, 1) == f"{0xABC:032x}:{0xDEF:016x}:{1:016x}:1"
    assert jaeger.encode(0xABC, 0xDEF, 0, 0) == f"{0xABC:032x}:{0xDEF:016x}:0:0"


@pytest.mark.parametrize(
    "fields",
    [
        {"b3": ""},
        {"b3": "1-1-1"},
        {"b3": "80f198ee56343ba864fe8b2a57d3eff7-0000000000000000-1"},
        {"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-2"},
        {"x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7"},
        {"x-b3-traceid": "xyz", "x-b3-spanid": "e457b5a2e4d86bd1"},
        {"x-b3-traceid": "0" * 32, "x-b3-spanid": "e457b5a2e4d86bd1"},
        {"x-b3-traceid": "1" * 32, "x-b3-spanid": "e457b5a2e4d86bd1", "x-b3-sampled": "maybe"},
    ],
)
def test_b3_refuses(fields: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        b3.decode(fields)


@given(trace_ids, span_ids, flag_bytes, st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=5))
def test_binary_reads_what_it_writes(trace: int, span: int, flags: int, baggage: dict[str, str]) -> None:
    clean = {
        key.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for key, value in baggage.items()
    }
    assert binary.decode(binary.encode(trace, span, 0, flags, baggage)) == (Remote(trace, span, flags), clean)


@given(st.binary(max_size=200))
def test_binary_takes_any_bytes(data: bytes) -> None:
    try:
        remote, _ = binary.decode(data)
    except Malformed:
        return
    assert 0 < remote.trace_id < 2**128
    assert 0 < remote.span_id < 2**64


def test_binary_is_refused_when_cut_short_or_counting_wrong() -> None:
    whole = binary.encode(TRACE, SPAN, 0, 1, {"key": "value"})
    for cut in range(len(whole)):
        with pytest.raises(Malformed):
            binary.decode(whole[:cut])
    # lengths that do not move on, and more items than anybody has
    for tail in (b"\xff\xff\xff\xfc" * 4, b""):
        with pytest.raises(Malformed):
            binary.decode(whole[:33] + b"\xff\xff\xff\xff" + tail)


@pytest.mark.parametrize("decode", [jaeger.decode, w3c.decode, w3c.tracestate, lambda text: b3.decode({"b3": text})])
@given(text=hostile)
def test_text_formats_take_any_text(decode: Any, text: str) -> None:
    try:
        found = decode(text)
    except Malformed:
        return
    if isinstance(found, Remote) and found != Remote(0, 0, found.flags):
        assert 0 < found.trace_id < 2**128
        assert 0 < found.span_id < 2**64
        assert 0 <= found.flags <= 255


# The signed pair

PAIR_BASE, PAIR_PARENT = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11", "7c1a7b8e-3a6f-4a58-a7a2-2d4d4a3a9c22"


def test_the_pair_is_what_every_release_of_osprofiler_makes() -> None:
    fields = osprofiler.encode(TraceContext.from_osprofiler(None, PAIR_BASE, PAIR_PARENT), "SECRET")
    info = json.loads(base64.urlsafe_b64decode(fields["X-Trace-Info"]))
    assert info == {"base_id": PAIR_BASE, "parent_id": PAIR_PARENT}
    expected = hmac.new(b"SECRET", fields["X-Trace-Info"].encode(), hashlib.sha1).hexdigest()
    assert fields == {"X-Trace-Info": fields["X-Trace-Info"], "X-Trace-HMAC": expected}


def test_the_pair_goes_both_ways_with_the_key_that_signed() -> None:
    fields = osprofiler.encode(TraceContext.from_osprofiler(None, PAIR_BASE, PAIR_PARENT), "new")
    context = osprofiler.decode(fields["X-Trace-Info"], fields["X-Trace-HMAC"], ["old", "new"])
    assert context is not None
    assert (context.base_id, context.point_id, context.hmac_key) == (PAIR_BASE, PAIR_PARENT, "new")
    assert context.trace_id == ids.trace_id_of(PAIR_BASE)
    assert osprofiler.decode(fields["X-Trace-Info"], fields["X-Trace-HMAC"], ["old"]) is None
    assert osprofiler.decode(fields["X-Trace-Info"], fields["X-Trace-HMAC"], []) is None


def test_a_pair_whose_parent_is_its_base_has_no_parent() -> None:
    fields = osprofiler.encode(TraceContext.from_osprofiler(None, PAIR_BASE), "K")
    context = osprofiler.decode(fields["X-Trace-Info"], fields["X-Trace-HMAC"], ["K"])
    assert context is not None
    assert (context.span_id, context.point_id) == (0, None)


@pytest.mark.parametrize(
    "contents",
    [
        [],
        {},
        {"base_id": ""},
        {"base_id": 1},
        {"base_id": None, "parent_id": "x"},
        {"base_id": "b", "parent_id": ["p"]},
        {"base_id": "b", "more": 1},
        {"base_id": "b" * 2000},
        {"parent_id": "p"},
    ],
)
def test_a_signed_pair_that_is_none_is_refused(contents: Any) -> None:
    packed, signature = _utils.signed_pack(contents, "K")
    try:
        assert osprofiler.decode(packed.decode(), signature or "", ["K"]) is None
    except Malformed:
        pass


# Our signed text


def _sealed(fields: object, key: str = "K") -> str:
    body = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    return f"{body}.{hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()}"


def _context(parent: str | None, key: str | None = "K", base: str = PAIR_BASE) -> TraceContext:
    span_id = ids.span_id_of(parent) if parent else 0
    return TraceContext(base, ids.trace_id_of(base), parent, span_id, hmac_key=key)


@pytest.mark.parametrize("base", [PAIR_BASE, "not a uuid \u00e9"])
@pytest.mark.parametrize("parent", [PAIR_PARENT, PAIR_BASE, "any text", None])
@pytest.mark.parametrize("follows", [True, False])
def test_a_signed_context_goes_both_ways(base: str, parent: str | None, follows: bool) -> None:
    found = signed.decode(signed.encode(_context(parent, base=base), follows=follows), ["other", "K"])
    assert found is not None
    assert found.follows is follows
    assert found.signed_at_s > 1_700_000_000
    context = found.context
    assert (context.base_id, context.point_id, context.hmac_key, context.flags) == (base, parent, "K", 1)
    # a real parent stays one, also where its id is the trace's
    assert bool(context.span_id) is (parent is not None)


def test_a_signed_context_never_holds_its_key() -> None:
    key = "a-long-and-memorable-secret"
    text = signed.encode(_context(PAIR_PARENT, key=key))
    body = base64.urlsafe_b64decode(text.split(".")[0]).decode()
    assert key not in text
    assert key not in body
    assert json.loads(body)["k"] == hmac.new(key.encode(), b"osprofiler key id", hashlib.sha256).hexdigest()[:8]


def test_a_signed_context_of_another_key_or_changed_is_none() -> None:
    text = signed.encode(_context(PAIR_PARENT))
    assert signed.decode(text, ["other"]) is None
    assert signed.decode(text, []) is None
    body, signature = text.split(".")
    for i in range(0, len(body), 7):
        changed = body[:i] + ("A" if body[i] != "A" else "B") + body[i + 1 :]
        assert signed.decode(f"{changed}.{signature}", ["K"]) is None


@pytest.mark.parametrize(
    "fields",
    [
        [],
        None,
        1,
        {"v": 1},
        {"v": 1, "b": ""},
        {"v": 1, "b": 5},
        {"v": 1, "b": "b", "p": 5},
        {"v": 1, "b": "b", "f": "1"},
        {"v": 1, "b": "b", "f": 256},
        {"v": 1, "b": "b", "f": True},
        {"v": 1, "b": "b", "t": "now"},
        {"v": 1, "b": "b" * 2000},
    ],
)
def test_a_signed_text_that_is_no_context_is_refused(fields: object) -> None:
    with pytest.raises(Malformed):
        signed.decode(_sealed(fields), ["K"])


def test_a_later_version_is_not_guessed_at() -> None:
    assert signed.decode(_sealed({"v": 2, "b": "b"}), ["K"]) is None


def test_a_signed_text_nested_without_end_is_refused() -> None:
    body = base64.urlsafe_b64encode(b"[" * 2500).decode()
    text = f"{body}.{hmac.new(b'K', body.encode(), hashlib.sha256).hexdigest()}"
    with pytest.raises(Malformed):
        signed.decode(text, ["K"])


@given(hostile)
def test_signed_takes_any_text(text: str) -> None:
    try:
        assert signed.decode(text, ["K"]) is None
    except Malformed:
        pass
