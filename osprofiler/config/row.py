# SPDX-License-Identifier: Apache-2.0
"""A row of the table of settings, and the rows of a table."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, overload

from osprofiler.config.kinds import Complain, Kind

T = TypeVar("T")
U = TypeVar("U")

_ROW = "row"
_SAME: Any = object()


@dataclasses.dataclass(frozen=True)
class Row(Generic[T]):
    """An option, a setting of the policy, or both.

    As the value of a class attribute of a table it is an option that is read once, at the start. Inside
    :func:`setting` it is a field of the table's objects too.
    """

    kind: Kind[T]
    default: Any = None  # of the option, as oslo.config has it
    help: str = ""
    name: str = ""  # of the option; empty: the attribute's
    group: str = "profiler"
    mutable: bool = False
    policy: bool = False  # whether a policy can have it
    secret: bool = False
    deprecated_name: str | None = None
    # The service itself reads the option when it starts: the value counts only after it has changed.
    once_changed: bool = False
    link: str = ""  # what the documentation says after the help, as reStructuredText

    @property
    def value(self) -> T:
        """The default as the settings have it."""
        return self.read(self.default, lambda _: None)

    def read(self, value: Any, complain: Complain) -> T:
        """An option's *value* as the settings have it. Raises ValueError if it cannot be used."""
        return self.kind.from_option(value, complain)


@overload
def setting(row: Row[T]) -> T: ...


@overload
def setting(row: Row[T], *, unread: U) -> T | U: ...


def setting(row: Row[Any], *, unread: Any = _SAME) -> Any:
    """A field of a table with the row *row*; *unread* is its value where a process has read no configuration."""
    return dataclasses.field(
        default=row.value if unread is _SAME else unread, repr=not row.secret, metadata={_ROW: row}
    )


@functools.cache
def rows(table: type) -> Mapping[str, Row[Any]]:
    """All rows of *table*, a dataclass, by their attributes, in the order of its text."""
    fields = settings(table)
    found = {}
    for cls in reversed(table.__mro__):
        for attribute in vars(cls).get("__annotations__", ()):
            row = fields.get(attribute) or vars(cls).get(attribute)
            if isinstance(row, Row):
                found[attribute] = _named(row, attribute)
    return found


@functools.cache
def settings(table: type) -> Mapping[str, Row[Any]]:
    """The rows of *table* that are fields of its objects, by their attributes."""
    return {field.name: _named(field.metadata[_ROW], field.name) for field in dataclasses.fields(table)}


def _named(row: Row[Any], attribute: str) -> Row[Any]:
    return dataclasses.replace(row, name=row.name or attribute)
