# SPDX-License-Identifier: Apache-2.0
"""Search the traces of a store by their content, through any driver; and the summary of a trace in one line."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from osprofiler.drivers.abilities import Can
from osprofiler.drivers.driver import Driver
from osprofiler.drivers.wanted import Wanted
from osprofiler.records import unreadable
from osprofiler.records.record import timestamp
from osprofiler.reports import model, wording
from osprofiler.reports.model import Trace
from osprofiler.reports.views import json_report

if TYPE_CHECKING:
    import random

__all__ = ["Stored", "Summary", "Wanted", "identified", "must_read", "read", "records", "summary", "traces"]

#: The number of traces in the first batch, and the most records in each further one, as far as can be foreseen.
FIRST_BATCH = 50
_BATCH_RECORDS = 40_000


class Summary(NamedTuple):
    """A trace in one line."""

    base_id: str
    timestamp: str  # of its first record, as stored
    operation: str
    duration_us: int
    spans: int
    services: list[str]
    errors: int
    unfinished: int


def summary(trace: Trace) -> Summary:
    """The summary of *trace*."""
    counts = wording.counts(trace)
    return Summary(
        trace.base_id,
        timestamp(trace.start_us),
        trace.roots[0].operation if trace.roots else "",
        trace.end_us - trace.start_us,
        counts["spans"],
        sorted({wording.place(span) for span in trace.spans.values()} - {""}),
        counts["errors"],
        counts["unfinished"],
    )


def read(driver: Driver, base_id: str) -> Trace:
    """Read the trace *base_id*, also through a driver for osprofiler 4.4.0. Without spans if it is not in the store."""
    with unreadable.collected() as ledger:
        if Can.READ_RECORDS in driver.can:
            trace = model.from_records(driver.read(base_id))
        else:
            report = driver.get_report(base_id)
            trace = json_report.from_report(report) if report and report.get("children") else Trace(base_id)
    trace.unreadable = ledger.skipped
    trace.base_id = trace.base_id or base_id
    return trace


def must_read(driver: Driver, wanted: Wanted) -> bool:
    """Whether the traces themselves must be read to know which ones match."""
    # A driver written for osprofiler 4.4.0 may override only the lists. The search of the base class uses these.
    return not (driver.is_exact(wanted) if Can.SEARCH in driver.can else Driver.is_exact(driver, wanted))


def identified(driver: Driver, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """``base_id`` and ``timestamp`` of the traces that may match, the newest first, each once. Reads no trace.

    If :func:`must_read` is false, all of them match, and they are at most ``wanted.limit``. Else the limit does not
    count here. The store is asked for the next page when the caller has used up the one before.
    """
    is_exact = not must_read(driver, wanted)
    asked = wanted if is_exact else dataclasses.replace(wanted, limit=None)
    marks = driver.candidates(asked) if Can.SEARCH in driver.can else Driver.candidates(driver, asked)
    matching = _once(mark for mark in marks if wanted.is_in_time(model.began_us(mark)))
    return itertools.islice(matching, asked.limit)


def _once(marks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """*marks*, each trace once. A store gives a trace again if an earlier record of it is written meanwhile."""
    seen = set()
    for mark in marks:
        if mark["base_id"] not in seen:
            seen.add(mark["base_id"])
            yield mark


def traces(driver: Driver, wanted: Wanted) -> Iterator[Trace]:
    """The matching traces, the newest first. Stops reading when ``wanted.limit`` traces match."""
    return matching(driver, base_ids(driver, wanted), wanted)


def base_ids(driver: Driver, wanted: Wanted, chance: random.Random | None = None) -> Iterator[str]:
    """The ids of the traces that :func:`identified` gives; with *chance* in an order by chance, for a sample."""
    ids = (str(mark["base_id"]) for mark in identified(driver, wanted))
    if chance is None:
        return ids
    shuffled = list(ids)
    chance.shuffle(shuffled)
    return iter(shuffled)


def matching(driver: Driver, base_ids: Iterable[str], wanted: Wanted, sample: int | None = None) -> Iterator[Trace]:
    """Those of the traces *base_ids* that match, in this order; at most ``wanted.limit``.

    *sample*: how many of them the caller takes, if it knows.
    """
    if Can.READ_RECORDS in driver.can:
        stored = (_trace(each) for each in records(driver, base_ids, sample or wanted.limit))
    else:
        stored = (read(driver, base_id) for base_id in base_ids)
    return itertools.islice((trace for trace in stored if trace.spans and wanted.matches(trace)), wanted.limit)


class Stored(NamedTuple):
    """The records of one trace, as a store gave them."""

    base_id: str
    records: list[dict[str, Any]]
    unreadable: int  # how many were left out


def _trace(stored: Stored) -> Trace:
    with unreadable.collected() as ledger:
        trace = model.from_records(stored.records)
    trace.unreadable = stored.unreadable + ledger.skipped
    trace.base_id = trace.base_id or stored.base_id
    return trace


def records(driver: Driver, base_ids: Iterable[str], limit: int | None = None) -> Iterator[Stored]:
    """The records of the traces *base_ids*, in this order. Traces that are not in the store are left out.

    They are read in batches; the next one is read when the caller has used up the one before. *limit*: how many the
    caller needs at most, if it knows. The driver needs the ability READ_RECORDS.
    """
    waiting = iter(base_ids)
    size = min(FIRST_BATCH, limit or FIRST_BATCH)
    while batch := list(itertools.islice(waiting, size)):
        count = 0
        for stored in _in_order(batch, driver.read_many(batch)):
            count += len(stored.records)
            yield stored
        size = max(1, min(2 * size, _BATCH_RECORDS * len(batch) // max(count, 1)))


def _in_order(base_ids: Sequence[str], traces: Iterable[tuple[str, list[dict[str, Any]]]]) -> Iterator[Stored]:
    """*traces* in the order of *base_ids*, each as soon as those before it have been read."""
    waiting = collections.deque(base_ids)
    early: dict[str, Stored] = {}
    for stored in _counted(traces):
        early[stored.base_id] = stored
        while waiting and waiting[0] in early:
            yield early.pop(waiting.popleft())
    yield from (early[base_id] for base_id in waiting if base_id in early)


def _counted(traces: Iterable[tuple[str, list[dict[str, Any]]]]) -> Iterator[Stored]:
    """*traces*, each with the number of records that were left out while it was read."""
    each = iter(traces)
    while True:
        with unreadable.collected() as ledger:
            trace = next(each, None)
        if trace is None:
            return
        yield Stored(*trace, ledger.skipped)
