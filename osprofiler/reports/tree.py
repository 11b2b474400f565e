# SPDX-License-Identifier: Apache-2.0
"""A trace as a tree in a terminal: a line a span, with its time and a bar that shows when it ran."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from osprofiler.records import timestamp
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace

#: Deeper levels are not drawn one by one; the line then begins with its depth.
DRAWN_LEVELS = 20

_BAR_MIN, _BAR_MAX = 12, 40
_TIME_COLUMN = 11
_UNCUT_COLUMN = 90  # piped: lines longer than this are not cut and lose their alignment

_RED, _YELLOW, _DIM, _BOLD, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_SERVICE_COLOURS = tuple(f"\x1b[{code}m" for code in (36, 35, 34, 32, 96, 95, 94, 92))


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw."""

    width: int | None = None  # columns to stay within; None: lines are not cut
    colour: bool = False
    unicode: bool = True


@dataclass(frozen=True, slots=True)
class _Glyphs:
    fork: str
    last: str
    fork_detached: str  # a span its parent did not wait for
    last_detached: str
    line: str
    full: str
    open_end: str  # an unfinished span has no end
    speck: str  # shorter than a column
    rest: str
    cut: str


_FINE = _Glyphs("├─ ", "└─ ", "├┄ ", "└┄ ", "│  ", "━", "┅", "╸", "·", "…")
_PLAIN = _Glyphs("|- ", "`- ", "|~ ", "`~ ", "|  ", "#", "~", "'", ".", "..")


def lines(trace: Trace, style: Style) -> Iterator[str]:
    """The lines of the tree, without line ends."""
    pen = _Pen(trace, style)
    yield pen.heading()
    clocks = wording.clocks(trace)
    if clocks:
        yield clocks
    yield ""
    if style.width is None:
        column = min(max((pen.length(*row) for row in pen.rows()), default=0), _UNCUT_COLUMN)
        bar = _BAR_MAX
    else:
        bar = min(max(style.width // 4, _BAR_MIN), _BAR_MAX)
        column = max(style.width - bar - _TIME_COLUMN - 3, 20)
    for prefix, span in pen.rows():
        yield pen.line(prefix, span, column, bar)


class _Pen:
    def __init__(self, trace: Trace, style: Style) -> None:
        self._trace = trace
        self._style = style
        self._glyphs = _FINE if style.unicode else _PLAIN
        self._zero_us = trace.start_us
        self._total_us = max(trace.end_us - trace.start_us, 1)
        places = dict.fromkeys(wording.place(span) for span in trace.spans.values())
        self._colours = {place: _SERVICE_COLOURS[i % len(_SERVICE_COLOURS)] for i, place in enumerate(places)}

    def heading(self) -> str:
        trace = self._trace
        when = timestamp(trace.start_us).replace("T", " ")
        took = wording.duration(trace.end_us - trace.start_us)
        base_id = wording.one_line(trace.base_id)
        return f"{self._paint(_BOLD, f'Trace {base_id}')}  {when} UTC  {took}  {wording.summary(trace)}"

    def rows(self) -> Iterator[tuple[str, SpanNode]]:
        """Each span with the branches that lead to it."""
        glyphs = self._glyphs
        drawn: list[str] = []  # for each level above, what continues through lower lines
        siblings_left = [len(self._trace.roots)]
        for depth, span in self._trace.walk():
            del drawn[max(depth - 1, 0) :], siblings_left[depth + 1 :]
            siblings_left[depth] -= 1
            prefix = ""
            if depth:
                last = not siblings_left[depth]
                normal, detached = (glyphs.last, glyphs.last_detached) if last else (glyphs.fork, glyphs.fork_detached)
                prefix = "".join(drawn[:DRAWN_LEVELS])
                if depth > DRAWN_LEVELS:
                    prefix += f"{glyphs.cut}{depth} "
                prefix += detached if span.detached else normal
                drawn.append("   " if last else glyphs.line)
            siblings_left.append(len(span.children))
            yield prefix, span

    def line(self, prefix: str, span: SpanNode, column: int, bar: int) -> str:
        parts = self._parts(prefix, span)
        used = sum(_width(text) for _, text in parts)
        if self._style.width is not None and used > column:
            parts = self._cut(parts, column)
            used = sum(_width(text) for _, text in parts)
        left = "".join(self._paint(colour, text) for colour, text in parts) + " " * (column - used)
        took = wording.duration(span.duration_us or 0) if span.finished else "unfinished"
        tone = _RED if span.error else _YELLOW if not span.finished else self._colours[wording.place(span)]
        return f"{left} {took:>{_TIME_COLUMN}}  {self._bar(span, bar, tone)}".rstrip()

    def length(self, prefix: str, span: SpanNode) -> int:
        return sum(_width(text) for _, text in self._parts(prefix, span))

    def _parts(self, prefix: str, span: SpanNode) -> list[tuple[str, str]]:
        """(colour, text) from left to right; what comes later is cut first."""
        place, about = wording.place(span), wording.detail(span)
        parts = [(_DIM, prefix), ("", wording.one_line(span.operation))]
        if place:
            parts.append((self._colours[place], f" [{place}]"))
        for mark in wording.marks(span):
            tone = _RED if mark.startswith("error") else _DIM if mark == "follows from" else _YELLOW
            parts.append((tone, f" ({mark})"))
        if about:
            parts.append((_DIM, f" {about}"))
        return parts

    def _cut(self, parts: list[tuple[str, str]], column: int) -> list[tuple[str, str]]:
        cut = self._glyphs.cut
        room = column - len(cut)
        kept: list[tuple[str, str]] = []
        for colour, text in parts:
            if _width(text) > room:
                return [*kept, (colour, _head(text, room) + cut)]
            room -= _width(text)
            kept.append((colour, text))
        return kept

    def _bar(self, span: SpanNode, width: int, tone: str) -> str:
        glyphs = self._glyphs
        begin = min((span.start_us - self._zero_us) * width // self._total_us, width - 1)
        room = width - begin
        if span.finished:
            drawn = glyphs.full * min((span.duration_us or 0) * width // self._total_us, room) or glyphs.speck
        else:
            drawn = glyphs.open_end * room
        rest = width - begin - len(drawn)
        before, after = self._paint(_DIM, glyphs.rest * begin), self._paint(_DIM, glyphs.rest * rest)
        return f"{before}{self._paint(tone, drawn)}{after}"

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._style.colour and colour and text else text


def _head(text: str, room: int) -> str:
    """As much of *text* as fits into *room* columns."""
    for i, char in enumerate(text):
        room -= _width(char)
        if room < 0:
            return text[:i]
    return text


def _width(text: str) -> int:
    """How many columns a terminal gives *text*."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
