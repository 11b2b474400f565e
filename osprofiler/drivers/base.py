# SPDX-License-Identifier: Apache-2.0
"""What a driver is written with: its base class, abilities and errors; and the driver for a connection string."""

from __future__ import annotations

from typing import Any

from osprofiler.connection.options import Option
from osprofiler.drivers import locate
from osprofiler.drivers.abilities import Can, Unsupported
from osprofiler.drivers.driver import Driver
from osprofiler.drivers.errors import RecordsRefused, StoreError, StoreUnavailable

__all__ = [
    "Can",
    "Driver",
    "Option",
    "RecordsRefused",
    "StoreError",
    "StoreUnavailable",
    "Unsupported",
    "default_connection_string",
    "get_driver",
]

#: Where traces are kept when no connection string is given.
default_connection_string = locate.default_connection_string


def get_driver(connection_string: str, *args: Any, **kwargs: Any) -> Driver:
    """Make the driver for *connection_string*; the other arguments go to its constructor.

    The notation without ``://`` (``messaging``) is accepted. Raises ValueError with one line, in which passwords are
    masked, for a string that is malformed or has no driver, and CommandError where a library is missing.
    """
    notation = locate.notation(connection_string)
    driver = locate.checked_class(notation)
    with locate.without_secrets(notation):
        return driver(notation, *args, **kwargs)
