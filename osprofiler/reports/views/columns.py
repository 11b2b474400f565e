# SPDX-License-Identifier: Apache-2.0
"""Text in a terminal's columns: how many it takes, and how it is cut or wrapped to them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def width(text: str) -> int:
    """How many columns a terminal gives *text*."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def head(text: str, room: int) -> str:
    """As much of *text* as fits into *room* columns."""
    for i, char in enumerate(text):
        room -= width(char)
        if room < 0:
            return text[:i]
    return text


def cut(text: str, room: int, mark: str) -> str:
    """*text*, if it has more than *room* columns cut to them, with *mark* at its end."""
    return text if width(text) <= room else head(text, room - len(mark)) + mark


def wrapped(text: str, room: int | None, indent: str = "") -> Iterator[str]:
    """*text* in lines of *room* columns, which is more than *indent*, what lines after the first begin with; uncut
    where *room* is None. A line ends between words, and within a word only where that alone is longer."""
    begin = ""
    while room is not None:
        left = room - len(begin)
        first = head(text, left)  # the rest is not measured with each line
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
    """*text* as a stream of *encoding* shows it: with escapes for what it has no characters for."""
    if text.isascii():
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)
