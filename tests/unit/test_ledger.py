# SPDX-License-Identifier: Apache-2.0
"""The ledger of private names: each is in the libraries that are installed, and our code uses no other."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

import osprofiler
from osprofiler._runtime.ledger import DOCUMENTED, LEDGER, Private
from osprofiler._runtime.wrapping import Target, Wrapping

PACKAGE = Path(osprofiler.__path__[0])

TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}

IN_LEDGER = {row.name.replace(":", ".") for row in LEDGER}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def has_private(dotted: str) -> bool:
    return any(map(is_private, dotted.split(".")))


def installed(row: Private) -> Version | None:
    """The version of a row's library; None where it is not installed."""
    if row.library == "Python":
        return Version(".".join(map(str, sys.version_info[:3])))
    try:
        return Version(importlib.metadata.version(row.library))
    except importlib.metadata.PackageNotFoundError:
        return None


def is_there(name: str) -> bool:
    """Whether a row's name is there; an attribute of a class may be one that its methods set."""
    module, _, attributes = name.partition(":")
    *above, last = attributes.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for each in above:
            owner = getattr(owner, each)
    except (ImportError, AttributeError):
        return False
    if hasattr(owner, last):
        return True
    if not inspect.isclass(owner):
        return False
    return any(f"self.{last}" in source_of(each) for each in owner.__mro__)


def source_of(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (TypeError, OSError):  # of a class made in C
        return ""


@pytest.mark.parametrize("row", LEDGER, ids=[row.name for row in LEDGER])
def test_each_name_is_there(row: Private) -> None:
    version = installed(row)
    if version is None:
        pytest.skip(f"{row.library} is not installed")
    if not row.since or version >= Version(row.since):
        assert is_there(row.name), f"{row.library} {version} has no {row.name}; without it: {row.without}"


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("threading:Thread._target", True),
        ("threading:Thread._no_such_name", False),
        ("asyncio:_get_running_loop", True),
        ("asyncio:_no_such_name", False),
    ],
)
def test_the_look_up_can_fail(name: str, there: bool) -> None:
    assert is_there(name) is there


# What the code uses


def is_of_testing(path: Path) -> bool:
    return path.relative_to(PACKAGE).parts[0] in ("testing", "demo")


def own_names() -> set[str]:
    """The private names that our own code defines: functions, classes, variables, attributes, slots."""
    names: set[str] = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                names.add(node.attr)
            elif isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "__slots__" for each in node.targets):
                names |= {each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)}
    return names


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def imported(tree: ast.Module) -> dict[str, str]:
    """What each imported name of a file stands for, of modules that are not ours."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                names[each.asname or each.name.partition(".")[0]] = (
                    each.name if each.asname else each.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for each in node.names:
                names[each.asname or each.name] = f"{node.module}.{each.name}"
    return {name: stands for name, stands in names.items() if not stands.startswith(("osprofiler.", "_typeshed"))}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of such an expression, else ''."""
    if isinstance(node, ast.Name):
        return node.id
    above = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{above}.{node.attr}" if above and isinstance(node, ast.Attribute) else ""


def imported_names(path: Path) -> Iterator[str]:
    """The private names that a file imports, or uses of modules that it imports."""
    foreign = imported(TREES[path])
    yield from filter(has_private, foreign.values())
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and (whole := dotted(node)):
            first, _, rest = whole.partition(".")
            if first in foreign:
                yield f"{foreign[first]}.{rest}"


def attributes(path: Path, own: set[str]) -> Iterator[str]:
    """The private attributes that a file uses of other objects, or asks for by name, and that nothing of ours has."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield node.attr
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)) and name.value not in own:
                yield str(name.value)


def targets() -> Iterator[Target]:
    for path, tree in TREES.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        if any(getattr(call.func, "id", "") == "Wrapping" for call in calls):
            module = importlib.import_module(".".join(path.with_suffix("").relative_to(PACKAGE.parent).parts))
            for wrapping in vars(module).values():
                if isinstance(wrapping, Wrapping):
                    yield from wrapping._targets


def test_no_private_name_of_an_imported_module_is_missing() -> None:
    used = {name for path in TREES if not is_of_testing(path) for name in imported_names(path)}
    assert used
    assert {name for name in used if not any(row == name or row.startswith(f"{name}.") for row in IN_LEDGER)} == set()


def test_no_private_attribute_is_missing() -> None:
    own = own_names()
    last = {row.rpartition(".")[2] for row in IN_LEDGER}
    used = {name for path in TREES if not is_of_testing(path) for name in attributes(path, own - last)}
    assert len(used) > 10
    assert used - last == set()


def test_no_private_target_is_missing() -> None:
    wrapped = {".".join(filter(None, (each.module, each.owner, each.name))) for each in targets()}
    assert len(wrapped) > 50
    assert {name for name in wrapped if has_private(name)} - IN_LEDGER == set()


def test_no_row_is_left_over() -> None:
    """Each row's last name, or for one in a private module its name there, stands in the code."""
    text = "\n".join(path.read_text() for path in TREES if path.name != "ledger.py")
    assert [row.name for row in LEDGER if row.name.rpartition(".")[2].rpartition(":")[2] not in text] == []
