# SPDX-License-Identifier: Apache-2.0
"""Where drivers are asked for: the base class of all of them, and the driver for a connection string."""

from __future__ import annotations

from typing import Any

from osprofiler.drivers import locate
from osprofiler.drivers.driver import Driver, overrides

__all__ = ["Driver", "default_connection_string", "get_driver", "overrides"]

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
