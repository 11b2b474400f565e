# SPDX-License-Identifier: Apache-2.0
"""Tables in the documentation that a program makes. On its page, each table is between two marks."""

from __future__ import annotations

from collections.abc import Iterable

_END = ".. The end of the table."


def list_table(rows: Iterable[list[str]]) -> str:
    """The table of *rows* as reStructuredText. The first row is the heading."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'  -' if number else '* -'} {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def between_marks(page: str, made_by: str) -> str:
    """The table in the text *page* that the module *made_by* has made."""
    return page.partition(_begin(made_by))[2].partition(_END)[0].strip("\n") + "\n"


def put_between_marks(path: str, made_by: str, table: str) -> None:
    """Replace the table of the module *made_by* in the page at *path*."""
    with open(path, encoding="utf-8") as file:
        before, mark, rest = file.read().partition(_begin(made_by))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{mark}\n\n{table}\n{_END}{rest.partition(_END)[2]}")


def _begin(made_by: str) -> str:
    return f".. The table is made by {made_by}."
