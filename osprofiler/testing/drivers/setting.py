# SPDX-License-Identifier: Apache-2.0
"""The fixtures and class attributes that every test of a driver needs, and helpers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Can, Driver

Connect = Callable[..., Driver]
Plant = Callable[[], int]
Refuse = Callable[[], list[dict[str, Any]]]

#: The longest time to wait for a server, in seconds.
_PATIENCE_S = 90.0


class Setting:
    """The fixtures and class attributes of the kits."""

    #: The name of the store in a table.
    title: ClassVar[str] = ""
    #: The class of the driver. It declares the abilities.
    driver_class: ClassVar[type[Driver]] = Driver
    #: Whether traces expire in the store. If not, the driver must refuse the option ``ttl``.
    expires: ClassVar[bool] = False
    #: Whether the store can hold anything but records. If so, override the fixture ``plant``.
    takes_garbage: ClassVar[bool] = False
    #: Whether the store can refuse a record. If so, override the fixture ``refuse``.
    refuses: ClassVar[bool] = False
    #: The length of a text that the store must keep, in characters.
    long_text: ClassVar[int] = 1_000_000

    @pytest.fixture
    def connect(self) -> Connect:
        """A function that returns a driver. Its keywords go to the driver's constructor."""
        raise NotImplementedError("override the fixture 'connect'")

    @pytest.fixture
    def forgetful(self) -> Connect:
        """A function that returns a driver of a store in which traces expire after two seconds."""
        raise NotImplementedError("override the fixture 'forgetful'")

    @pytest.fixture
    def plant(self) -> Plant:
        """A function that puts garbage into the store without the driver: in the trace ``TRACE``, and without a trace.

        It returns the number of these objects. ``osprofiler.testing.records.no_records`` has some.
        """
        raise NotImplementedError("override the fixture 'plant'")

    @pytest.fixture
    def refuse(self) -> Refuse:
        """A function that prepares the store. It returns a batch; the store will always refuse its last record."""
        raise NotImplementedError("override the fixture 'refuse'")

    @pytest.fixture
    def driver(self, connect: Connect) -> Driver:
        return connect()

    @classmethod
    def cell(cls, name: str) -> str:
        """The cell of a table for the guarantee *name*, if all its tests pass: ``yes``, ``no``, or a limit."""
        if not any(getattr(getattr(cls, attribute), "guarantee", "") == name for attribute in dir(cls)):
            return "n/a"
        has = {
            "errors": Can.LIST_ERRORS in cls.driver_class.can,
            "delete": Can.DELETE in cls.driver_class.can,
            "expiry": cls.expires,
        }
        if name == "1 MB info" and cls.long_text < 1_000_000:
            return f"{cls.long_text:,} characters"
        if name == "garbage" and not cls.takes_garbage:
            return "n/a"
        return "yes" if has.get(name, True) else "no"


def essence(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The parts of records that a store must keep, sorted: without the parts that drivers may add."""
    keys = ("timestamp", "trace_id", "name", "base_id", "parent_id")
    return sorted((*(record[key] for key in keys), json.dumps(record["info"], sort_keys=True)) for record in records)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return when *condition* holds. Raises TimeoutError if it never does; *what* names the event in its text."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {_PATIENCE_S:.0f} s for {what}")
        time.sleep(0.05)
