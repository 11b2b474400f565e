# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on each of our codecs, and on codecs that are wrong on purpose."""

from __future__ import annotations

from typing import Any

import opentracing
import pytest
from jaeger_client import codecs as jaeger_codecs

from osprofiler.testing.propagators import PropagatorKit, TextPropagatorKit
from osprofiler.tracer.codec import TextCodec, codecs


class TestTextMap(TextPropagatorKit):
    @pytest.fixture
    def codec(self) -> Any:
        return codecs()[opentracing.Format.TEXT_MAP]


class TestHttpHeaders(TextPropagatorKit):
    @pytest.fixture
    def codec(self) -> Any:
        return codecs()[opentracing.Format.HTTP_HEADERS]


class TestBinary(PropagatorKit):
    @pytest.fixture
    def codec(self) -> Any:
        return codecs()[opentracing.Format.BINARY]


class _Replacing(TextCodec):
    def inject(self, span_context: Any, carrier: Any) -> None:
        carrier.clear()
        super().inject(span_context, carrier)


class _CaseSensitive(TextCodec):
    def extract(self, carrier: Any) -> Any:
        return super().extract({key: value for key, value in carrier.items() if key == str(key).lower()})


WRONG = [
    (_Replacing(True), "test_what_else_is_in_the_carrier_stays"),
    (_CaseSensitive(True), "test_names_are_found_in_any_case"),
    (jaeger_codecs.TextCodec(url_encoding=True), "test_damage_never_raises_and_never_makes_impossible_ids"),
    (jaeger_codecs.TextCodec(url_encoding=True), "test_a_field_that_comes_twice_counts_as_absent"),
    (jaeger_codecs.B3Codec(), "test_baggage_travels"),
]


@pytest.mark.parametrize(("codec", "test"), WRONG, ids=[test for _, test in WRONG])
def test_the_kit_finds_what_is_wrong(codec: Any, test: str) -> None:
    with pytest.raises(BaseException):  # noqa: B017
        getattr(TextPropagatorKit(), test)(codec)


def test_the_kit_finds_a_binary_codec_that_raises() -> None:
    with pytest.raises(Exception):  # noqa: B017
        PropagatorKit().test_damage_never_raises_and_never_makes_impossible_ids(jaeger_codecs.BinaryCodec())
