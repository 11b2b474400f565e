# SPDX-License-Identifier: Apache-2.0
"""Search the SQL table for traces, the newest first, without reading the whole table.

An index has the records in the order of time: all records, those of one service, or those that may have an error. A
page is a range of it. The first time of each trace in a page comes from the index of the traces.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, select

from osprofiler._runtime.batched import batched
from osprofiler.drivers import sql_rows
from osprofiler.drivers.newest_first import Page, newest_first
from osprofiler.drivers.sql_services import Services
from osprofiler.drivers.wanted import Wanted
from osprofiler.records.record import microseconds, timestamp
from osprofiler.reports import model

#: Rows in the first page, and in the largest one. Each is four times as large as the one before.
_FIRST_PAGE = 1_000
_LARGEST_PAGE = 100_000

_IDS = 500  # in one statement


class Search:
    """Searches *table*. The functions are those of its driver.

    *rows* returns the rows of a statement; *row* the first of them, or None; *failed* the ids of the traces whose
    records with some conditions have an error; *marks* the mark of the trace of a row with its ``base_id`` and first
    ``timestamp``, or none.
    """

    def __init__(
        self,
        table: Table,
        rows: Callable[[Select[Any]], Iterable[Row[Any]]],
        row: Callable[[Select[Any]], Row[Any] | None],
        failed: Callable[..., set[str]],
        marks: Callable[[Row[Any]], Iterable[dict[str, Any]]],
        may_have_failed: ColumnElement[bool],
    ) -> None:
        self._table = table
        self._rows = rows
        self._row = row
        self._services = Services(table, rows)
        self._failed = failed
        self._marks = marks
        self._may_have_failed = may_have_failed

    def newest(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """The marks of traces that may match *wanted*, the newest first. All have an error if that is wanted.

        Some began at other times. A trace of several services may come twice.
        """
        if wanted.error:
            return self._walk(wanted, self._may_have_failed)
        services = None if wanted.service is None else self._services.conditions(wanted.service)
        if services is None:
            return self._walk(wanted, None)
        return heapq.merge(*(self._walk(wanted, each) for each in services), key=model.began_us, reverse=True)

    # Pages

    def _walk(self, wanted: Wanted, condition: ColumnElement[bool] | None) -> Iterator[dict[str, Any]]:
        first_rows: dict[str, Row[Any]] = {}

        def pages() -> Iterator[Page]:
            for rows, edge_us in self._pages(wanted, condition):
                first_rows.clear()
                first_rows.update((row.base_id or "", row) for row in rows)
                yield Page(list(first_rows), edge_us)

        return newest_first(pages(), lambda ids: (mark for base_id in ids for mark in self._marks(first_rows[base_id])))

    def _pages(
        self, wanted: Wanted, condition: ColumnElement[bool] | None
    ) -> Iterator[tuple[Iterable[Row[Any]], float]]:
        """Rows with the ids and first times of traces; and the time from which on all records are in these pages."""
        stamps = self._table.c.timestamp
        kept = [] if condition is None else [condition]
        # Also without a time: SQLite takes an index only for a condition on its first column.
        oldest = stamps >= ("" if wanted.since_us is None else timestamp(wanted.since_us))
        # A trace that began before this has a record from before it, but perhaps none of the service.
        newer = [stamps < timestamp(wanted.until_us)] if condition is None and wanted.until_us is not None else []
        size = _FIRST_PAGE
        while (edge := self._edge([*kept, oldest, *newer], size)) is not None:
            yield self._traces([*kept, *newer, stamps >= edge], wanted.error), _edge_us(edge)
            newer = [stamps < edge]
            size = min(4 * size, _LARGEST_PAGE)
        yield self._traces([*kept, *newer, oldest], wanted.error), 0
        if wanted == Wanted(limit=wanted.limit):  # traces without a time, to be reported as unreadable
            yield self._traces([stamps.is_(None)]), 0

    def _edge(self, conditions: Iterable[ColumnElement[bool]], size: int) -> str | None:
        """The time from which on there are *size* rows, or more if several have this time; None: there are fewer."""
        stamps = self._table.c.timestamp
        at = select(stamps).where(*conditions).order_by(stamps.desc()).limit(1).offset(size)
        row = self._row(at)
        return None if row is None else row[0]

    def _traces(self, conditions: Sequence[ColumnElement[bool]], error: bool = False) -> Iterator[Row[Any]]:
        """The id and the first time of each trace that has a row with these *conditions*."""
        if not error:
            yield from self._rows(self._first(conditions))
            return
        # The rows themselves are read, since the index only knows that they may have an error.
        ids = sorted(self._failed(*conditions))
        for batch in batched(ids, _IDS):
            yield from self._rows(self._first([self._table.c.base_id.in_(batch)]))

    def _first(self, conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
        traces = select(self._table.c.base_id).where(*conditions).distinct().subquery()
        records = self._table.alias().c
        stamps = select(records.timestamp).where(records.base_id == traces.c.base_id, records.timestamp.is_not(None))
        first = stamps.order_by(records.timestamp).limit(1).scalar_subquery()
        return select(traces.c.base_id, first.label("timestamp"))


def _edge_us(stamp: str) -> float:
    """The time *stamp* in microseconds since the epoch. What is no time, but sorts after the times, is infinite."""
    return microseconds(stamp) if sql_rows.is_time(stamp) else math.inf
