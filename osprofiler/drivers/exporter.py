# SPDX-License-Identifier: Apache-2.0
"""Write records through a store's driver, in batches: a start record when a span starts, a stop record at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osprofiler._runtime import deadlines, inherited
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.delivery.exporter import Item, Outcome, Rejected, Transient
from osprofiler.delivery.pauses import with_pauses
from osprofiler.delivery.queue import Recorded, Started
from osprofiler.drivers import undeclared
from osprofiler.drivers.abilities import Can
from osprofiler.drivers.errors import RecordsRefused, StoreUnavailable
from osprofiler.records import span_records

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver


class StoreExporter:
    """Writes through the driver that *make* returns. It is called once, in the reporter, before the first batch.

    The secrets of *connection_string* are cut from the texts of errors. *labels* (``project``, ``service``) are added
    to the records that do not have their own.
    """

    wants_starts = True
    acknowledged = True

    def __init__(
        self,
        make: Callable[[], Driver],
        target: str,
        *,
        connection_string: str = "",
        labels: Mapping[str, Any] | None = None,
        blocking: bool = False,
        max_span_chars: int | None = None,
    ) -> None:
        self.target = target
        self.blocking = blocking
        self.max_span_chars = max_span_chars
        self._make = make
        self._connection_string = connection_string
        self._labels = {key: value for key, value in (labels or {}).items() if value is not None}
        self._driver: Driver | None = None

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        """Do nothing: each record has its project and service."""

    def export(self, batch: Sequence[Item], deadline: float) -> Outcome:
        driver = self._open()
        rendered = [self._record(entry) for entries in with_pauses(batch) for entry in entries]
        try:
            with deadlines.until(deadline):
                if Can.WRITE_BATCH in driver.can:
                    self._in_one(driver, rendered)
                else:
                    self._one_by_one(driver, rendered)
        except Transient:
            # Connect anew next time: the server may have become read-only, and the address may be another server now.
            with contextlib.suppress(Exception):
                driver.close()
            raise
        return Outcome(len(rendered))

    def after_fork(self) -> None:
        if self._driver is not None:
            inherited.keep(self._driver)
            self._driver = None

    def _open(self) -> Driver:
        if self._driver is None:
            try:
                self._driver = self._make()
            except Exception as fault:
                raise Transient(typed_fault_line(fault, self._connection_string)) from None
        return self._driver

    def _record(self, entry: Item) -> dict[str, Any]:
        if isinstance(entry, Started):
            record = span_records.start(entry.span)
        elif isinstance(entry, Recorded):
            record = entry.record
        else:
            record = span_records.stop(entry)
        return {**self._labels, **record}

    def _in_one(self, driver: Driver, rendered: Sequence[dict[str, Any]]) -> None:
        try:
            driver.write(rendered)
        except Exception as fault:
            places = _refused_places(fault, len(rendered))
            if places:
                raise Rejected(str(fault), places=places) from fault
            raise self._failure(fault) from fault

    def _one_by_one(self, driver: Driver, rendered: Sequence[dict[str, Any]]) -> None:
        """For a driver without batches: a record that it has stored is not written again."""
        for done, record in enumerate(rendered):
            try:
                driver.notify(record)
            except Exception as fault:
                raise self._failure(fault, done) from fault

    def _failure(self, fault: Exception, done: int = 0) -> Transient | Rejected:
        """Convert an error of the driver, after *done* records of the batch are stored."""
        error = undeclared.as_store_error(fault, self._connection_string)
        # Delivery can split a batch only if none of it is stored yet.
        if isinstance(error, RecordsRefused) and not done:
            return Rejected(str(error), divisible=True)
        unreachable = isinstance(error, StoreUnavailable)
        return Transient(str(error), done=done, unreachable=unreachable, retry_after_s=error.retry_after_s)


def _refused_places(fault: Exception, number: int) -> frozenset[int]:
    """The places that *fault* names in a batch of *number* records; none if it names an impossible one."""
    places = frozenset(getattr(fault, "places", None) or ()) if isinstance(fault, RecordsRefused) else frozenset()
    return places if places <= frozenset(range(number)) else frozenset()
