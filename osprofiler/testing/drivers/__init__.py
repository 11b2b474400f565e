# SPDX-License-Identifier: Apache-2.0
"""The conformance kits for drivers: what every store must do, as tests to inherit.

::

    class TestMyDriver(DriverKit):
        title = "My store"
        driver_class = MyDriver

        @pytest.fixture
        def connect(self):
            return lambda **options: MyDriver("mystore://localhost", **options)

``connect()`` gives a driver on a store that was empty when the test began; called again, another driver on the same
store. A store behind a network inherits from ``ServerKit``, and gives some fixtures more. Nothing is skipped for a
driver that does not declare an ability: the kit then wants Unsupported, since an empty answer would read as "there is
nothing".
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
    """Inherit, and give the fixtures ``connect`` and, if the store can forget, ``forgetful``."""


class ServerKit(Outages, DriverKit):
    """For a store behind a network: give the fixtures ``own_server``, ``denied`` and ``absent`` as well."""
