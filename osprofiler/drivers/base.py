# SPDX-License-Identifier: Apache-2.0
"""The API for drivers: the base class, abilities and errors; and the driver of a connection string."""

from __future__ import annotations

from typing import Any

from osprofiler.connection.options import Option
from osprofiler.drivers import locate
from osprofiler.drivers.abilities import Can, Unsupported
from osprofiler.drivers.driver import Driver
from osprofiler.drivers.errors import RecordsRefused, StoreError, StoreUnavailable
from osprofiler.drivers.wanted import Wanted

__all__ = [
    "Can",
    "Driver",
    "Option",
    "RecordsRefused",
    "StoreError",
    "StoreUnavailable",
    "Unsupported",
    "Wanted",
    "default_connection_string",
    "get_driver",
]

#: The store that is used without a connection string.
default_connection_string = locate.default_connection_string


def get_driver(connection_string: str, *args: Any, **kwargs: Any) -> Driver:
    """Make the driver for *connection_string*. The other arguments go to its constructor.

    ``://`` may be left out (``messaging``). Raises ValueError if the string is malformed or has no driver, and
    CommandError if a library is missing. The text of both is one line, in which passwords are masked.
    """
    notation = locate.notation(connection_string)
    driver = locate.checked_class(notation)
    with locate.without_secrets(notation):
        return driver(notation, *args, **kwargs)
