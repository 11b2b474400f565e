# SPDX-License-Identifier: Apache-2.0
"""Reading JSON of any depth: the report of a trace that is 10,000 calls deep nests as deep, and the json package
recurses."""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode


def loads(text: str) -> Any:
    """The value that *text* says. Raises ValueError where it is no JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        return _Reader(text).value()


class _Reader:
    """The same grammar with a stack of its own; slower, so only for what the json package cannot read."""

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
        """A scalar or an empty container; or an opened container, and True."""
        char = self._peek()
        if char in "[{" and char:
            self._at += 1
            self._skip()
            empty = self._peek() == ("]" if char == "[" else "}")
            if empty:
                self._at += 1
                self._skip()
            return ([] if char == "[" else {}), not empty
        return self._scalar(), False

    def _closes(self, open_: list[list[Any] | dict[str, Any]]) -> bool:
        """Take the comma or the end that follows a value; whether it was the end of the innermost container."""
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
