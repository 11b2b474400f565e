# SPDX-License-Identifier: Apache-2.0
"""Read the traces of one store in several threads. The work of one request is bounded."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osprofiler import exc
from osprofiler.connection.secrets import masked
from osprofiler.drivers import lookup, search
from osprofiler.drivers.abilities import Can
from osprofiler.drivers.search import Wanted
from osprofiler.records import ids
from osprofiler.serve.catalogue import Catalogue, Operation

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver
    from osprofiler.reports.model import Trace

#: One request reads traces for at most so long.
MOST_S = 30.0

#: Traces are read so long for the names of services, and so long for those of the operations of one. Jaeger's UI waits
#: 10 seconds for both.
_NAMES_S = 3.0

#: The ids of so many traces whose ids are not UUIDs are kept.
_MOST_OTHER_IDS = 10_000


class _TimeIsUp(Exception):
    """The search has taken too long."""


@dataclass(frozen=True, slots=True)
class _Timed(Wanted):
    """Conditions that raise _TimeIsUp when they are asked too late, also if no trace matches."""

    until_s: float = 0.0  # of the monotonic clock

    def matches(self, trace: Trace) -> bool:
        if time.monotonic() > self.until_s:
            raise _TimeIsUp
        return Wanted.matches(self, trace)  # super() does not know a class with slots


class Store:
    """The store whose drivers *make* returns. Each thread has a driver of its own.

    The methods raise StoreError if the store cannot be read.
    """

    def __init__(self, make: Callable[[], Driver]) -> None:
        self._make = make
        self._own = threading.local()
        self._drivers: list[Driver] = []
        # Jaeger's id of such a trace is a hash, which cannot be turned back.
        self._other_ids: dict[int, str] = {}
        first = self._driver
        self.connection_string = first.connection_str
        self.shown = masked(self.connection_string)
        if not {Can.LIST, Can.READ} <= first.can:
            raise exc.CommandError(f"{self.shown} cannot list traces: there is nothing to serve")
        list_services = self._list_services if Can.LIST_SERVICES in first.can else None
        self._catalogue = Catalogue(list_services, self._read_for_names)

    @property
    def _driver(self) -> Driver:
        if not hasattr(self._own, "driver"):
            self._own.driver = self._make()
            self._drivers.append(self._own.driver)
        driver: Driver = self._own.driver
        return driver

    def trace(self, trace_id: int) -> Trace | None:
        """The trace with this id in Jaeger; None if the store does not have it."""
        return self._read(self._other_ids.get(trace_id) or ids.uuid_text(trace_id))

    def find(self, text: str) -> Trace | None:
        """The trace that *text* names, in a form of ``drivers.lookup``; None if the store does not have it."""
        return lookup.find(self._driver, text, self._read)

    def each(self, wanted: Wanted, take: Callable[[Trace], bool], most_s: float | None = None) -> str:
        """Call *take* with the matching traces, the newest first, as long as it returns true.

        *most_s*: how long this may take, in seconds, if not MOST_S. Returns why it stopped before the last trace, if it
        did so by itself; "" otherwise.
        """
        most_s = MOST_S if most_s is None else most_s
        conditions = {each.name: getattr(wanted, each.name) for each in dataclasses.fields(wanted)}
        timed = _Timed(**conditions, until_s=time.monotonic() + most_s)
        try:
            for trace in search.traces(self._driver, timed):
                self._learn(trace)
                if not take(trace):
                    break
        except _TimeIsUp:
            return f"only the newest traces were looked through: that took {most_s:.0f} s"
        return ""

    def services(self) -> list[str]:
        """The names of the services."""
        return self._catalogue.services()

    def operations(self, service: str, kind: str = "") -> list[Operation]:
        """The operations of *service*, of one kind or of all kinds."""
        return self._catalogue.operations(service, kind)

    def _list_services(self) -> list[str]:
        return self._driver.list_services()

    def _read_for_names(self, wanted: Wanted) -> None:
        self.each(wanted, lambda trace: True, _NAMES_S)

    def close(self) -> None:
        """Close the connections."""
        for driver in self._drivers:
            driver.close()

    def _read(self, base_id: str) -> Trace | None:
        trace = search.read(self._driver, base_id)
        if not trace.spans:
            return None
        self._learn(trace)
        return trace

    def _learn(self, trace: Trace) -> None:
        self._catalogue.learn(trace)
        number = ids.trace_id_of(trace.base_id)
        if trace.base_id != ids.uuid_text(number) and len(self._other_ids) < _MOST_OTHER_IDS:
            self._other_ids[number] = trace.base_id
