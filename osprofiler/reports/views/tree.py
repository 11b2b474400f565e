# SPDX-License-Identifier: Apache-2.0
"""A trace as a tree in a terminal: one line for each span, with its duration and a bar; below the tree the errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from osprofiler.records.record import timestamp
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import columns

#: The branches of deeper levels are not drawn; their lines begin with the depth as a number.
DRAWN_LEVELS = 20

_BAR_MIN, _BAR_MAX = 12, 40
_BAR_FROM_WIDTH = 60  # a narrower terminal has no room for bars
_TIME_COLUMN = 11
_LEAST_NAME = 10  # an operation keeps at least so many columns
_LEAST_PLACE = 6  # a service or a detail with fewer columns is left out
_DEPTH = 11  # columns of a depth and of the branch after it
_ERROR = " (error)"
_ERRORS = 10  # at most so many errors are listed below the tree
_UNCUT_COLUMN = 90  # in a pipe, longer lines are not cut, and their times are not aligned

_RED, _YELLOW, _DIM, _BOLD, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_SERVICE_COLOURS = tuple(f"\x1b[{code}m" for code in (36, 35, 34, 32, 96, 95, 94, 92))


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw."""

    width: int | None = None  # the most columns of a line; None: lines are not cut
    colour: bool = False
    unicode: bool = True
    encoding: str = "utf-8"  # characters that it does not have are escaped


@dataclass(frozen=True, slots=True)
class _Glyphs:
    fork: str
    last: str
    fork_detached: str  # for a span that its parent did not wait for
    last_detached: str
    line: str
    full: str
    open_end: str  # for an unfinished span
    speck: str  # for a span shorter than a column
    rest: str
    cut: str


_FINE = _Glyphs("├─ ", "└─ ", "├┄ ", "└┄ ", "│  ", "━", "┅", "╸", "·", "…")
_PLAIN = _Glyphs("|- ", "`- ", "|~ ", "`~ ", "|  ", "#", "~", "'", ".", "..")


def lines(trace: Trace, style: Style) -> Iterator[str]:
    """The lines of the tree and of the errors below it, without line ends."""
    pen = _Pen(trace, style)
    yield from pen.heading()
    yield ""
    if style.width is None:
        column = min(max((pen.length(*row) for row in pen.rows()), default=0), _UNCUT_COLUMN)
        bar = _BAR_MAX
    else:
        bar = min(max(style.width // 4, _BAR_MIN), _BAR_MAX) if style.width >= _BAR_FROM_WIDTH else 0
        column = max(style.width - bar - _TIME_COLUMN - (3 if bar else 1), _LEAST_NAME)
        pen.fit_branches(column)
    for prefix, span in pen.rows():
        yield pen.line(prefix, span, column, bar)
    yield from pen.errors()


class _Pen:
    def __init__(self, trace: Trace, style: Style) -> None:
        self._trace = trace
        self._style = style
        self._glyphs = _FINE if style.unicode else _PLAIN
        self._levels = DRAWN_LEVELS
        self._zero_us = trace.start_us
        self._total_us = max(trace.end_us - trace.start_us, 1)
        places = dict.fromkeys(wording.place(span) for span in trace.spans.values())
        self._colours = {place: _SERVICE_COLOURS[i % len(_SERVICE_COLOURS)] for i, place in enumerate(places)}

    def heading(self) -> Iterator[str]:
        trace, room = self._trace, self._style.width
        when = timestamp(trace.start_us).replace("T", " ")
        took = wording.duration(trace.end_us - trace.start_us)
        base_id = self._shown(trace.base_id)
        name = f"Trace {base_id}"
        first, *more = columns.wrapped(f"{name}  {when} UTC  {took}  {wording.summary(trace)}", room, "  ")
        yield self._paint(_BOLD, name) + first[len(name) :] if first.startswith(name) else first
        yield from more
        clocks = wording.clocks(trace)
        if clocks:
            yield from columns.wrapped(self._shown(clocks), room, "  ")

    def fit_branches(self, column: int) -> None:
        """Limit the levels that are drawn: *column* must have room for the depth, a name and the badge of an error."""
        room = column - _DEPTH - _LEAST_NAME - len(_ERROR)
        self._levels = max(min(DRAWN_LEVELS, room // len(self._glyphs.line)), 0)

    def errors(self) -> Iterator[str]:
        """An empty line and the errors; no lines if there are no errors."""
        failures = wording.failures(self._trace)
        if failures:
            yield ""
        for failure in failures[:_ERRORS]:
            text = self._shown(failure.text)
            place = f" [{self._shown(failure.place)}]" if failure.place else ""
            whole = f"error in {self._shown(failure.operation)}{place}: {text}"
            first, *more = columns.wrapped(whole, self._style.width, "  ")
            yield self._paint(_RED, first[:5]) + first[5:]
            yield from more
        if len(failures) > _ERRORS:
            yield f"... and {len(failures) - _ERRORS} more errors"

    def rows(self) -> Iterator[tuple[str, SpanNode]]:
        """Each span with the branches that lead to it, as text."""
        glyphs = self._glyphs
        drawn: list[str] = []  # for each level above, its branch in the lines below
        siblings_left = [len(self._trace.roots)]
        for depth, span in self._trace.walk():
            del drawn[max(depth - 1, 0) :], siblings_left[depth + 1 :]
            siblings_left[depth] -= 1
            prefix = ""
            if depth:
                last = not siblings_left[depth]
                normal, detached = (glyphs.last, glyphs.last_detached) if last else (glyphs.fork, glyphs.fork_detached)
                prefix = "".join(drawn[: self._levels])
                if depth > self._levels:
                    prefix += f"{glyphs.cut}{depth} "
                prefix += detached if span.detached else normal
                drawn.append("   " if last else glyphs.line)
            siblings_left.append(len(span.children))
            yield prefix, span

    def line(self, prefix: str, span: SpanNode, column: int, bar: int) -> str:
        parts = self._parts(prefix, span)
        used = sum(columns.width(text) for _, text in parts)
        if self._style.width is not None and used > column:
            parts = self._cut(parts, column)
            used = sum(columns.width(text) for _, text in parts)
        left = "".join(self._paint(colour, text) for colour, text in parts) + " " * (column - used)
        took = wording.duration(span.duration_us or 0) if span.finished else "unfinished"
        tone = _RED if span.error else _YELLOW if not span.finished else self._colours[wording.place(span)]
        drawn = f"  {self._bar(span, bar, tone)}" if bar else ""
        return f"{left} {took:>{_TIME_COLUMN}}{drawn}".rstrip()

    def length(self, prefix: str, span: SpanNode) -> int:
        return sum(columns.width(text) for _, text in self._parts(prefix, span))

    def _parts(self, prefix: str, span: SpanNode) -> list[tuple[str, str]]:
        """(colour, text) from left to right: branches, operation, service, badges, detail."""
        place, detail = wording.place(span), wording.detail(span)
        return [
            (_DIM, prefix),
            ("", self._shown(span.operation)),
            (self._colours[place], f" [{self._shown(place)}]" if place else ""),
            *((_tone(badge), f" ({self._shown(badge)})") for badge in wording.badges(span)),
            (_DIM, f" {self._shown(detail)}" if detail else ""),
        ]

    def _cut(self, parts: list[tuple[str, str]], column: int) -> list[tuple[str, str]]:
        """*parts* cut to *column* columns. The detail is cut first, then the service, then the operation.

        Badges stay if there is room; the error's badge always stays.
        """
        prefix, operation, place, *badges, detail = parts
        room = column - columns.width(prefix[1])
        shown: list[tuple[str, str]] = []
        for badge in badges:
            left = room - sum(columns.width(text) for _, text in shown) - _LEAST_NAME
            if columns.width(badge[1]) <= left:
                shown.append(badge)
            elif badge[0] == _RED:  # the list below the tree names the kind of error
                shown.append((_RED, _ERROR))
        room -= sum(columns.width(text) for _, text in shown)
        texts = []
        for (_, text), least in ((operation, 0), (place, _LEAST_PLACE), (detail, _LEAST_PLACE)):
            text = columns.cut(text, room, self._glyphs.cut) if room > least or columns.width(text) <= room else ""
            texts.append(text)
            room -= columns.width(text)
        return [prefix, (operation[0], texts[0]), (place[0], texts[1]), *shown, (detail[0], texts[2])]

    def _shown(self, text: str) -> str:
        return columns.encodable(wording.one_line(text), self._style.encoding)

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


def _tone(badge: str) -> str:
    return _RED if badge.startswith("error") else _DIM if badge == "follows from" else _YELLOW
