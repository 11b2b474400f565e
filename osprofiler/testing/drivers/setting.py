# SPDX-License-Identifier: Apache-2.0
"""What every test of a driver needs: the driver, its store, and what the store can do."""

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

#: How long things are waited for that a server does in its own time, in seconds.
_PATIENCE_S = 90.0


class Setting:
    """The fixtures and class attributes of the kits."""

    #: What a table calls the store.
    title: ClassVar[str] = ""
    #: The class of the driver, which declares what the driver can do.
    driver_class: ClassVar[type[Driver]] = Driver
    #: The store forgets traces by itself. What does not must refuse the option ``ttl``.
    expires: ClassVar[bool] = False
    #: Something else than records can be in the store; give the fixture ``plant`` then.
    takes_garbage: ClassVar[bool] = False
    #: The store may refuse a record; give the fixture ``refuse`` then.
    refuses: ClassVar[bool] = False
    #: The longest text that the store must keep, in characters.
    long_text: ClassVar[int] = 1_000_000

    @pytest.fixture
    def connect(self) -> Connect:
        raise NotImplementedError("give a fixture 'connect'")

    @pytest.fixture
    def forgetful(self) -> Connect:
        """Gives a driver of which the store forgets what is two seconds old."""
        raise NotImplementedError("give a fixture 'forgetful'")

    @pytest.fixture
    def plant(self) -> Plant:
        """Gives what puts garbage into the store, past the driver: in the trace ``TRACE`` and beside all traces.

        It returns how many things that are. ``osprofiler.testing.records.no_records`` has some.
        """
        raise NotImplementedError("give a fixture 'plant'")

    @pytest.fixture
    def refuse(self) -> Refuse:
        """Gives what prepares the store, and returns a batch of which the store refuses the last record for good."""
        raise NotImplementedError("give a fixture 'refuse'")

    @pytest.fixture
    def driver(self, connect: Connect) -> Driver:
        return connect()

    @classmethod
    def cell(cls, name: str) -> str:
        """What a table says of the guarantee *name*, if all tests of it pass: ``yes``, ``no``, or how far."""
        if not any(getattr(getattr(cls, each), "guarantee", "") == name for each in dir(cls)):
            return "n/a"
        able = {
            "errors": Can.LIST_ERRORS in cls.driver_class.can,
            "delete": Can.DELETE in cls.driver_class.can,
            "expiry": cls.expires,
        }
        if name == "1 MB info" and cls.long_text < 1_000_000:
            return f"{cls.long_text:,} characters"
        if name == "garbage" and not cls.takes_garbage:
            return "n/a"
        return "yes" if able.get(name, True) else "no"


def essence(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must survive a store, without order and without what drivers may add."""
    keys = ("timestamp", "trace_id", "name", "base_id", "parent_id")
    return sorted((*(record[key] for key in keys), json.dumps(record["info"], sort_keys=True)) for record in records)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return when *condition* holds. Raises TimeoutError, which says *what* was waited for, if it never does."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {_PATIENCE_S:.0f} s for {what}")
        time.sleep(0.05)
