# SPDX-License-Identifier: Apache-2.0
"""Reads JSON of any depth. The json package recurses, and the report of a trace nests as deep as its calls."""

from __future__ import annotations

import json
import re
from typing import Any

from osprofiler.records import fast_json

_SPACE = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode


def loads(text: str) -> Any:
    """The value of *text*. Raises ValueError if it is not JSON."""
    try:
        return fast_json.loads(text)
    except RecursionError:
        return _Reader(text).value()


class _Reader:
    """Reads JSON with a stack of its own. It is slower than the json package, and only used if that cannot read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def value(self) -> Any:
        top: list[Any] = []
        open_: list[list[Any] | dict[str, Any]] = [top]
        while True:
            inner = open_[-1]
            key = self._key() if isinstance(inner, dict) else None
            value, is_open = self._begin()
            if isinstance(inner, dict):
                inner[str(key)] = value
            else:
                inner.append(value)
            if is_open:
                open_.append(value)
                continue
            while self._closes(open_):
                open_.pop()
            if len(open_) == 1:
                break
        if self._at != len(self._text):
            raise self._wrong("nothing more")
        return top[0]

    def _begin(self) -> tuple[Any, bool]:
        """Read a scalar, an empty container, or the beginning of a container. Return it, and whether it is open."""
        char = self._peek()
        if char in "[{" and char:
            self._at += 1
            self._skip()
            is_empty = self._peek() == ("]" if char == "[" else "}")
            if is_empty:
                self._at += 1
                self._skip()
            return ([] if char == "[" else {}), not is_empty
        return self._scalar(), False

    def _closes(self, open_: list[list[Any] | dict[str, Any]]) -> bool:
        """Read the comma or the end after a value. Return whether it is the end of the innermost container."""
        if len(open_) == 1:
            return False
        end = "}" if isinstance(open_[-1], dict) else "]"
        char = self._peek()
        if char not in (",", end):
            raise self._wrong(f"',' or '{end}'")
        self._at += 1
        self._skip()
        return char == end

    def _key(self) -> str:
        if self._peek() != '"':
            raise self._wrong("a key")
        key = str(self._scalar())
        if self._peek() != ":":
            raise self._wrong("':'")
        self._at += 1
        self._skip()
        return key

    def _scalar(self) -> Any:
        value, self._at = _scan(self._text, self._at)
        self._skip()
        return value

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _wrong(self, wanted: str) -> ValueError:
        return json.JSONDecodeError(f"expected {wanted}", self._text, self._at)
