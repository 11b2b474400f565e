# SPDX-License-Identifier: Apache-2.0
"""Prints, as JSON, the functions that instrumentation puts in the place of others: where each is defined, and how it
takes arguments otherwise than the function it replaces does.
"""

import ast
import contextlib
import importlib
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import osprofiler
from osprofiler._runtime.wrapping import Target, Wrapping

PACKAGE = Path(osprofiler.__path__[0])


def targets() -> Iterator[Target]:
    for path in PACKAGE.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        if any(isinstance(call.func, ast.Name) and call.func.id == "Wrapping" for call in calls):
            module = importlib.import_module(".".join(path.with_suffix("").relative_to(PACKAGE.parent).parts))
            for wrapping in vars(module).values():
                if isinstance(wrapping, Wrapping):
                    yield from wrapping._targets


def original(target: Target) -> Any:
    try:
        owner: Any = importlib.import_module(target.module)
    except ImportError:  # of another release of its library, or made by eventlet
        return None
    owner = getattr(owner, target.owner, None) if target.owner else owner
    return vars(owner).get(target.name) if owner is not None else None


def by_name(parameters: list[inspect.Parameter]) -> dict[str, int]:
    """The parameters that a keyword argument can name, ``self`` aside, with their positions; -1: by name alone."""
    named = {each.name: at for at, each in enumerate(parameters) if each.kind is each.POSITIONAL_OR_KEYWORD}
    return {**named, **{each.name: -1 for each in parameters if each.kind is each.KEYWORD_ONLY}}


def differences(replaced: Callable[..., Any], replacement: Callable[..., Any]) -> Iterator[str]:
    code = getattr(replaced, "__code__", None)
    if code is not None and code.co_filename == contextlib.__file__:  # it hands all arguments to what it decorates
        replaced = replaced.__wrapped__  # type: ignore[attr-defined]
    try:
        theirs, mine = (
            list(inspect.signature(each, follow_wrapped=False).parameters.values()) for each in (replaced, replacement)
        )
    except ValueError:  # of a class made in C, which does not tell
        return
    for name, at in by_name(mine).items():
        if by_name(theirs).get(name) != at:
            yield f"takes {name!r}, which the original does not take at {at}"
    others = any(each.kind is each.VAR_KEYWORD for each in mine)
    for name, at in by_name(theirs).items():
        by_position = at in range(len(mine)) and mine[at].kind is inspect.Parameter.POSITIONAL_ONLY
        if name != "self" and name not in by_name(mine) and (by_position or not others):
            yield f"does not take {name!r} by name"


rows = []
for target in targets():
    held = original(target)
    if isinstance(held, property):  # the getter is wrapped
        held = held.fget
    replacement = target.wrap(held if held is not None else (lambda *args, **kwargs: None))
    function: Any = replacement
    while not Path(function.__code__.co_filename).is_relative_to(PACKAGE):  # a decorator's, such as contextmanager's
        function = function.__wrapped__
    code = function.__code__
    rows.append(
        {
            "target": f"{target.module}.{target.owner}.{target.name}",
            "file": str(Path(code.co_filename).relative_to(PACKAGE)),
            "line": code.co_firstlineno,
            "compared": held is not None,
            "differences": list(differences(held, replacement)) if held is not None else [],
        }
    )
print(json.dumps(rows))
