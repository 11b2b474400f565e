# SPDX-License-Identifier: Apache-2.0
"""The public names of this package with their signatures, as text: ``api.txt`` in this folder.

``python -m tests.conformance.api`` writes the file; a test compares it. Other names may change in any release.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("api.txt")

#: The modules that other packages import.
MODULES = (
    "osprofiler.asgi",
    "osprofiler.drivers.base",
    "osprofiler.exc",
    "osprofiler.initializer",
    "osprofiler.messaging",
    "osprofiler.notifier",
    "osprofiler.nova",
    "osprofiler.novaclient",
    "osprofiler.opentracing_compat",
    "osprofiler.opts",
    "osprofiler.policy",
    "osprofiler.profiler",
    "osprofiler.reports",
    "osprofiler.requests",
    "osprofiler.sqlalchemy",
    "osprofiler.testing",
    "osprofiler.testing.concurrency",
    "osprofiler.testing.decorators",
    "osprofiler.testing.drivers",
    "osprofiler.testing.fixtures",
    "osprofiler.testing.http_clients",
    "osprofiler.testing.process",
    "osprofiler.testing.propagators",
    "osprofiler.testing.recorder",
    "osprofiler.testing.wires",
    "osprofiler.web",
)


def names(module: Any) -> list[str]:
    """The public names of *module*: its ``__all__``, or else the names that it defines itself."""
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )


def lines() -> Iterator[str]:
    """The lines of ``api.txt``."""
    for name in MODULES:
        module = importlib.import_module(name)
        for public in names(module):
            yield from _lines_of(f"{name}.{public}", getattr(module, public))


def _lines_of(path: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield from _lines_of_class(path, value)
    elif isinstance(value, FIXTURE):
        yield f"fixture {path}"
    elif callable(value):
        yield f"def {path}{_signature(value)}"
    else:
        yield f"{path}: {type(value).__name__}"


class _NoFixture:
    pass


def _fixture_type() -> type:
    from osprofiler.testing import fixtures

    kind = type(fixtures.osprofiler_spans)
    return kind if kind.__name__ != "function" else _NoFixture  # in pytest before 8.4 they are functions


#: The type of the objects that `pytest.fixture` makes.
FIXTURE = _fixture_type()


def _lines_of_class(path: str, cls: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in cls.__bases__ if base is not object)
    yield f"class {path}({bases})" if bases else f"class {path}"
    if dataclasses.is_dataclass(cls):
        yield from (f"  {field.name}: {field.type}" for field in dataclasses.fields(cls))
        written = {"__init__"} | {field.name for field in dataclasses.fields(cls)}
    else:
        written = set()
    for name, member in sorted(vars(cls).items()):
        if name in written or name.startswith("test_") or isinstance(member, FIXTURE):
            continue
        if name.startswith("_") and name != "__init__":
            continue
        kind = type(member).__name__ if isinstance(member, (classmethod, staticmethod)) else "def"
        function = inspect.unwrap(member.__func__ if isinstance(member, (classmethod, staticmethod)) else member)
        if isinstance(member, property):
            returned = inspect.signature(member.fget).return_annotation if member.fget else "Any"
            yield f"  property {name} -> {returned}"
        elif inspect.isfunction(function):
            yield f"  {kind} {name}{_signature(function)}"


def _signature(function: Any) -> str:
    try:
        text = str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r" at 0x[0-9a-f]+", "", text).replace("'", "")


def text() -> str:
    """The text for ``api.txt``."""
    return "".join(f"{line}\n" for line in lines())


if __name__ == "__main__":
    FILE.write_text(text())
