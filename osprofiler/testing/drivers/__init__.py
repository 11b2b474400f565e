# SPDX-License-Identifier: Apache-2.0
"""The conformance kits for drivers: tests for every store, to be inherited.

::

    class TestMyDriver(DriverKit):
        title = "My store"
        driver_class = MyDriver

        @pytest.fixture
        def connect(self):
            return lambda **options: MyDriver("mystore://localhost", **options)

``connect()`` returns a driver of a store that is empty when the test begins. Another call returns another driver of the
same store. The tests of a store behind a network inherit from ``ServerKit``, which needs more fixtures. If a driver
does not declare an ability, no test is skipped: the method must raise Unsupported, because an empty result would mean
that the store is empty.
"""

from __future__ import annotations

from osprofiler.testing.drivers.abilities import Abilities
from osprofiler.testing.drivers.guarantees import GUARANTEES, guarantee
from osprofiler.testing.drivers.outages import WRONG_PASSWORD, Outages, OwnServer
from osprofiler.testing.drivers.reading import Reading
from osprofiler.testing.drivers.removing import Removing
from osprofiler.testing.drivers.searching import Searching
from osprofiler.testing.drivers.setting import Connect, Plant, Refuse, wait_for
from osprofiler.testing.drivers.writing import Writing

__all__ = [
    "GUARANTEES",
    "WRONG_PASSWORD",
    "Connect",
    "DriverKit",
    "OwnServer",
    "Plant",
    "Refuse",
    "ServerKit",
    "guarantee",
    "wait_for",
]


class DriverKit(Writing, Reading, Searching, Removing, Abilities):
    """The tests of a driver. Override the fixtures ``connect`` and, if traces can expire, ``forgetful``."""


class ServerKit(Outages, DriverKit):
    """The tests of a store behind a network. Override ``own_server``, ``denied`` and ``absent`` too."""
