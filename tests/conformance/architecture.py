# SPDX-License-Identifier: Apache-2.0
"""The map of the rooms in the documentation, made from the imports and from the text of each room's package.

``python -m tests.conformance.architecture doc/source/architecture.rst`` writes it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import osprofiler
from osprofiler.testing import tables

#: The name in the marks on the page.
NAME = "tests.conformance.architecture"

PACKAGE = Path(osprofiler.__file__).parent
ROOT = PACKAGE.parent

_DOORS = "doors"
_OF_DOORS = (
    "The public modules, at the paths that they have in osprofiler 4: they re-export what is below, and document it."
)


def layers() -> list[list[str]]:
    """The rooms in ``pyproject.toml``, from the top down. Rooms on one line are equals."""
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r'name = "imports go down".*?layers = \[(.*?)\]', text, re.S)
    assert block is not None
    return [line.split(" : ") for line in re.findall(r'"(.+)"', block[1])]


def rooms() -> dict[str, list[str]]:
    """The modules or packages of each room, from the top down. The doors are one room."""
    return {(names[0] if len(names) == 1 else _DOORS): names for names in layers()}


def imports() -> dict[str, set[str]]:
    """The rooms that each room imports, also inside functions, but not only for type checkers."""
    room_of = {name: room for room, names in rooms().items() for name in names}
    imported: dict[str, set[str]] = {room: set() for room in rooms()}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in room_of:
            here = room_of[parts[0]]
            imported[here] |= {room_of[name] for name in _imported(path) if name in room_of} - {here}
    return imported


def _imported(path: Path) -> Iterator[str]:
    """The names under ``osprofiler.`` that a file imports from."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom) and node.module == "osprofiler":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("osprofiler."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("osprofiler."))


def table() -> str:
    """The map as reStructuredText: each room, what it holds, the rooms that it imports."""
    order = list(rooms())
    imported = imports()
    rows = [["room", "what it holds", "imports"]]
    for room, names in rooms().items():
        below = ", ".join(sorted(imported[room], key=order.index)) or "no other room"
        title = f"``{room}``" if room != _DOORS else ", ".join(f"``{name}``" for name in names)
        rows.append([title, _text(room, names), below])
    return tables.list_table(rows)


def _text(room: str, names: list[str]) -> str:
    """The text of a room's package, as one paragraph without its examples."""
    if room == _DOORS:
        return _OF_DOORS
    path = PACKAGE / names[0]
    docstring = ast.get_docstring(
        ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    )
    paragraphs = (docstring or "").partition("::")[0].split("\n\n")
    return " ".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())


if __name__ == "__main__":
    tables.put_between_marks(sys.argv[1], NAME, table())
