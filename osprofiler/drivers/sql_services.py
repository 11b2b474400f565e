# SPDX-License-Identifier: Apache-2.0
"""The services in the SQL table, by an index that begins with them: each takes a look or two into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, select

from osprofiler.drivers.places import may_be_service

#: With more services than this that match, or more names to look at, a search does not look at services.
_MOST_MATCHING = 16
_MOST_NAMES = 500


class Name(NamedTuple):
    """A service as the columns have it. Names that are long or not ASCII have another text there."""

    service: str | None
    project: str | None

    @property
    def is_verbatim(self) -> bool:
        """Whether these are surely the texts of the records."""
        names = f"{self.service}{self.project}"
        return "\\" not in names and "~" not in names and names.isprintable()


class Services:
    """The services in *table*. *rows* runs a statement."""

    def __init__(self, table: Table, rows: Callable[[Select[Any]], Iterable[Row[Any]]]) -> None:
        self._table = table
        self._rows = rows

    def names(self) -> Iterator[Name]:
        """Every service with each of its projects."""
        service, project = self._table.c.service, self._table.c.project
        for name in [*self._values(service), None]:
            for other in self._values(project, _is(service, name)):
                yield Name(name, other)
            if any(self._rows(select(service).where(_is(service, name), project.is_(None)).limit(1))):
                yield Name(name, None)

    def condition(self, name: Name) -> ColumnElement[bool]:
        """The condition for the rows of the service *name*."""
        return and_(_is(self._table.c.service, name.service), _is(self._table.c.project, name.project))

    def conditions(self, pattern: str) -> list[ColumnElement[bool]] | None:
        """A condition for the rows of each service that matches *pattern*. None: take the rows of all services."""
        conditions: list[ColumnElement[bool]] = []
        for count, name in enumerate(self.names()):
            if count == _MOST_NAMES or len(conditions) == _MOST_MATCHING:
                return None
            if _may_match(pattern, name):
                conditions.append(self.condition(name))
        return conditions

    def _values(self, column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Iterator[str]:
        """The values of *column*, each by one look into the index."""
        last = None
        while True:
            least = select(func.min(column)).where(*conditions)
            last = next(row[0] for row in self._rows(least if last is None else least.where(column > last)))
            if last is None:
                return
            yield last


def _is(column: ColumnElement[Any], value: str | None) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _may_match(pattern: str, name: Name) -> bool:
    """Whether a span of the service *name* may match *pattern*. Some databases ignore case."""
    service, project = (text and text.lower() for text in name)
    return not name.is_verbatim or may_be_service(pattern.lower(), service, project)
