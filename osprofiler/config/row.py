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
#: For a field whose value is the default also without a configuration.
SAME: Any = object()


@dataclasses.dataclass(frozen=True)
class Row(Generic[T]):
    """An option, a setting of the policy, or both.

    A row that is a class attribute of a table is an option that is read once, at the start. A row inside
    :func:`setting` is also a field of the table's objects.
    """

    kind: Kind[T]
    default: Any = None  # of the option, for oslo.config
    help: str = ""
    name: str = ""  # of the option; empty: the name of the attribute
    group: str = "profiler"
    mutable: bool = False
    policy: bool = False  # whether a policy can set it
    secret: bool = False
    deprecated_name: str | None = None
    # The service itself reads the option when it starts. Here false counts only after the option has changed.
    false_once_changed: bool = False
    asked_as: str = ""  # the name by which a request can ask for it; empty: it cannot
    link: str = ""  # text after the help in the documentation, as reStructuredText

    @property
    def value(self) -> T:
        """The default, converted to the value of a setting."""
        return self.read(self.default, lambda _: None)

    def read(self, value: Any, complain: Complain) -> T:
        """Convert an option's *value* to the value of a setting. Raises ValueError if it cannot be used."""
        return self.kind.from_option(value, complain)


@overload
def setting(row: Row[T]) -> T: ...


@overload
def setting(row: Row[T], *, unread: U) -> T | U: ...


def setting(row: Row[Any], *, unread: Any = SAME) -> Any:
    """A field of a table with the row *row*. *unread*: its value in a process that has read no configuration."""
    return dataclasses.field(default=row.value if unread is SAME else unread, repr=not row.secret, metadata={_ROW: row})


@functools.cache
def rows(table: type) -> Mapping[str, Row[Any]]:
    """All rows of *table*, a dataclass, by attribute, in the order of its source text."""
    fields = settings(table)
    named = {}
    for cls in reversed(table.__mro__):
        for attribute in vars(cls).get("__annotations__", ()):
            row = fields.get(attribute) or vars(cls).get(attribute)
            if isinstance(row, Row):
                named[attribute] = _named(row, attribute)
    return named


@functools.cache
def settings(table: type) -> Mapping[str, Row[Any]]:
    """The rows of *table* that are fields of its objects, by attribute."""
    return {field.name: _named(field.metadata[_ROW], field.name) for field in dataclasses.fields(table)}


def _named(row: Row[Any], attribute: str) -> Row[Any]:
    return dataclasses.replace(row, name=row.name or attribute)
