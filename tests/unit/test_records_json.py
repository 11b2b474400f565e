# SPDX-License-Identifier: Apache-2.0
"""JSON is read as by the json package, whether msgspec is installed or not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler.records import fast_json

_NUMBERS = st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
_TEXTS = st.text('[]{}",:0123456789.eE-+ntrufalsNI\\/b \t\n\x00\x1f\ud800\u00e9', max_size=14)


def outcome(read: Any, text: str) -> str:
    try:
        return repr(read(text))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


@given(_NUMBERS | _TEXTS | st.tuples(_VALUES, st.booleans()).map(lambda v: json.dumps(v[0], ensure_ascii=v[1])))
@settings(max_examples=500, deadline=None)
def test_values_and_errors_are_those_of_the_json_package(text: str) -> None:
    assert outcome(fast_json.loads, text) == outcome(json.loads, text)


def test_msgspec_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("msgspec")
    monkeypatch.setattr(json, "loads", None)
    assert fast_json.loads('{"a": [1, 2.5, "\u00e9"]}') == {"a": [1, 2.5, "\u00e9"]}


def test_without_msgspec_the_json_package_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_json, "_decoder", lambda: None)
    assert fast_json.loads("[1, NaN]")[0] == 1
