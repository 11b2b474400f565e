# SPDX-License-Identifier: Apache-2.0
"""Measure, cut and wrap text by the columns of a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def width(text: str) -> int:
    """The number of columns that *text* takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def head(text: str, room: int) -> str:
    """The beginning of *text* that fits into *room* columns."""
    for i, char in enumerate(text):
        room -= width(char)
        if room < 0:
            return text[:i]
    return text


def cut(text: str, room: int, mark: str) -> str:
    """*text*; if it takes more than *room* columns, cut to them and ended with *mark*."""
    return text if width(text) <= room else head(text, room - len(mark)) + mark


def wrapped(text: str, room: int | None, indent: str = "") -> Iterator[str]:
    """*text* in lines of at most *room* columns; in one line if *room* is None.

    Lines after the first begin with *indent*, which is shorter than *room*. A line breaks between words; only a word
    that is longer than a line is broken.
    """
    begin = ""
    while room is not None:
        left = room - len(begin)
        first = head(text, left)  # measures only this line, not the rest
        if len(first) == len(text):
            break
        at = len(first) if text[len(first)] == " " else first.rstrip().rfind(" ")
        if not first[: max(at, 0)].strip():
            at = max(len(first), 1)
        yield begin + text[:at].rstrip()
        text, begin = text[at:].lstrip(), indent
    if text or not begin:
        yield begin + text


def encodable(text: str, encoding: str) -> str:
    """*text* with escapes for the characters that *encoding* does not have."""
    if text.isascii():
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)
