# SPDX-License-Identifier: Apache-2.0
"""The output of commands: text and tables, fitted to the width and the encoding of the terminal or file."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osprofiler import exc
from osprofiler.reports import wording
from osprofiler.reports.views import columns as terminal
from osprofiler.reports.views.tree import Style

_LEAST_LAST = 16  # the last column of a table is never wrapped to fewer columns


def write(pieces: Iterable[str], file_name: str | None = None) -> None:
    """Write *pieces* into the file, or to standard output. Raises CommandError if the file cannot be written."""
    if file_name is None:
        sys.stdout.writelines(pieces)
        sys.stdout.flush()
        return
    pieces = iter(pieces)
    first = next(pieces, "")  # before open(): an error here must not truncate an existing file
    try:
        with open(file_name, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(first)
            file.writelines(pieces)
    except OSError as fault:
        raise exc.CommandError(f"cannot write {file_name}: {fault.strerror}") from fault


def table(heads: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A table with borders, as 4.4.0 printed it.

    A narrow terminal wraps the last column; in a very narrow one each row becomes a list.
    """
    encoding = _encoding()
    cells = [[_shown(str(row.get(column, "")), encoding) for column in heads] for row in rows]
    widths = [max(map(terminal.width, column)) for column in zip(heads, *cells, strict=True)]
    room = _room()
    if room is not None:
        widths[-1] = min(widths[-1], room - sum(widths[:-1]) - 3 * len(widths) - 1)
    if widths[-1] < min(_LEAST_LAST, terminal.width(heads[-1])):
        for line in cells:
            for head, cell in zip(heads, line, strict=True):
                yield from _lines(f"{head}: {cell}", room)
            yield "\n"
        return
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    yield border
    for i, line in enumerate([list(heads), *cells]):
        for j, last in enumerate(terminal.wrapped(line[-1], widths[-1])):
            shown = [*(line[:-1] if j == 0 else [""] * (len(line) - 1)), last]
            padded = (_padded(cell, width) for cell, width in zip(shown, widths, strict=True))
            yield "|" + "|".join(f" {cell} " for cell in padded) + "|\n"
        if i == 0:
            yield border
    if cells:
        yield border


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], *, to_the_left: bool = False) -> Iterator[str]:
    """A table without borders. The last column is text; the others are short.

    They are aligned to the right, or *to_the_left*.

    A narrow terminal wraps the last column; in a very narrow one each row is its text, with the other columns below.
    """
    encoding, room = _encoding(), _room()
    lines = [list(heads), *([_shown(cell, encoding) for cell in row] for row in rows)]
    last = len(heads) - 1
    widths = [max(terminal.width(line[i]) for line in lines) for i in range(last)]
    left = None if room is None else room - sum(widths) - 2 * last
    if left is not None and left < _LEAST_LAST:
        for line in lines[1:]:
            yield from _lines(line[last], room)
            others = (f"{head} {cell}" for head, cell in zip(heads, line[:last], strict=False) if cell.strip())
            yield from _lines(f"  {', '.join(others)}", room)
        return
    indent, side = " " * (sum(widths) + 2 * last), 1 if to_the_left else -1
    for line in lines:
        padded = (_padded(cell, side * width) for cell, width in zip(line, widths, strict=False))
        begin = "".join(f"{cell}  " for cell in padded)
        for j, text in enumerate(terminal.wrapped(line[last], left)):
            yield (indent if j else begin) + text + "\n"


def text(line: str) -> Iterator[str]:
    """*line*, made safe to print and wrapped to the terminal."""
    yield from _lines(_shown(line, _encoding()), _room())


def _lines(line: str, room: int | None) -> Iterator[str]:
    return (f"{each}\n" for each in terminal.wrapped(line, room, "  "))


def _padded(text: str, width: int) -> str:
    """*text* filled up to *width* columns; aligned to the right if *width* is negative."""
    blanks = " " * (abs(width) - terminal.width(text))
    return text + blanks if width > 0 else blanks + text


def _shown(text: str, encoding: str) -> str:
    return terminal.encodable(wording.one_line(text), encoding)


def _encoding() -> str:
    return sys.stdout.encoding or "ascii"


def _room() -> int | None:
    """The number of columns of standard output; None if it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def json_list(items: Iterable[Any]) -> Iterator[str]:
    """A JSON list, one object on each line."""
    yield "["
    for i, item in enumerate(items):
        yield f"{',' if i else ''}\n{json.dumps(item, default=str)}"
    yield "\n]\n"


def json_object(head: Mapping[str, Any], /, **lists: Iterable[Any]) -> Iterator[str]:
    """A JSON object of the keys of *head* and, in pieces, of long *lists* after them."""
    yield json.dumps(head, default=str)[:-1]
    comma = ", " if head else ""
    for name, items in lists.items():
        yield f'{comma}"{name}": '
        comma, last = ", ", ""
        for piece in json_list(items):
            yield last
            last = piece
        yield last.rstrip()
    yield "}\n"


def left_out(count: int, shown: int, noun: str) -> Iterator[str]:
    """The line below a table that counts the rows left out; nothing if all are shown."""
    if count > shown:
        yield f"... and {wording.counted(count - shown, noun)} more\n"


def named(operation: str, place: str) -> str:
    """An operation and its service (*place*)."""
    return wording.one_line(operation) + (f" [{place}]" if place else "")


def tree_style() -> Style:
    """The style of a tree on standard output: in a terminal cut to its width and in colour, in a pipe plain."""
    room = _room()
    colour = room is not None and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(room, colour, shows_unicode(), _encoding())


def shows_unicode() -> bool:
    """Whether the encoding of standard output has the characters of trees and blocks."""
    try:
        "├┄━·µ…▁█".encode(_encoding())
    except UnicodeEncodeError:
        return False
    return True
