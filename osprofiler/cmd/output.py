# SPDX-License-Identifier: Apache-2.0
"""What commands print: to the terminal or a file, in what that can show."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osprofiler import exc
from osprofiler.reports import wording
from osprofiler.reports.tree import Style


def write(pieces: Iterable[str], file_name: str | None = None) -> None:
    """Write *pieces* into the file, or to standard output. Raises CommandError where the file cannot be written."""
    if file_name is None:
        stream: Any = sys.stdout
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        stream.writelines(pieces)
        stream.flush()
        return
    pieces = iter(pieces)
    first = next(pieces, "")  # what cannot be had must not cost the file that is there
    try:
        with open(file_name, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(first)
            file.writelines(pieces)
    except OSError as fault:
        raise exc.CommandError(f"cannot write {file_name}: {fault.strerror}") from fault


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A table with borders, as 4.4.0 printed it."""
    cells = [[wording.one_line(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    yield border
    for i, line in enumerate([list(columns), *cells]):
        yield "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(line, widths, strict=True)) + "|\n"
        if i == 0:
            yield border
    if cells:
        yield border


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table without borders; all columns but the last are numbers or short, and stand to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    last = len(heads) - 1
    widths = [max(len(line[i]) for line in lines) for i in range(last)]
    for line in lines:
        yield "  ".join([*(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=False)), line[last]]) + "\n"


def json_list(items: Iterable[Any]) -> Iterator[str]:
    """A list of objects as JSON, one to a line."""
    yield "["
    for i, item in enumerate(items):
        yield f"{',' if i else ''}\n{json.dumps(item, default=str)}"
    yield "\n]\n"


def left_out(count: int, shown: int, what: str) -> Iterator[str]:
    """The line below a table that says how much of it was not shown."""
    if count > shown:
        more = count - shown
        yield f"... and {more} {what}{'' if more == 1 else 's'} more\n"


def named(operation: str, place: str) -> str:
    """An operation and whose it is."""
    return wording.one_line(operation) + (f" [{place}]" if place else "")


def tree_style() -> Style:
    """How a tree is drawn on standard output: cut to the window and in colour on a terminal, plain in a pipe."""
    if not sys.stdout.isatty():
        return Style(unicode=_shows_unicode())
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(shutil.get_terminal_size().columns, colour, _shows_unicode())


def _shows_unicode() -> bool:
    try:
        "├┄━·µ…".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def truth(text: str) -> bool:
    """An argument that is yes or no. Raises what argparse reports."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise argparse.ArgumentTypeError(f"yes or no, not {text!r}")
