# SPDX-License-Identifier: Apache-2.0
"""The abilities of a driver. Its class declares them. Callers read the declaration before they call a method."""

from __future__ import annotations

import enum

from osprofiler import exc


class Can(enum.Enum):
    """One ability of a driver. The value ends the sentence "the driver cannot ..."."""

    WRITE = "write traces"
    """``notify`` stores a record, ``write`` several."""

    WRITE_BATCH = "write a batch of records at once"
    """``write`` stores a batch at once. It may get the same batch again. Without it each record goes to ``notify``."""

    READ = "read traces"
    """``get_report`` returns a trace."""

    READ_RECORDS = "read the records of traces"
    """``read`` returns the records of a trace."""

    READ_SHARED = "be read by several processes at once"
    """What one driver lists, drivers in other processes can read at the same time."""

    LIST = "list traces"
    """``list_traces`` works, and so do ``find_ids`` and ``candidates``."""

    LIST_ERRORS = "list the traces that failed"
    """``list_error_traces`` works."""

    LIST_SERVICES = "list the services of the traces"
    """``list_services`` works: the store knows them without reading its traces."""

    SEARCH = "search for traces"
    """``candidates`` asks the store only for some of its traces, a page at a time. Without it all traces are listed."""

    DELETE = "delete traces"
    """``delete`` removes a trace."""

    PURGE = "delete traces by their age"
    """``purge`` removes old traces."""


#: The abilities of a store whose driver writes batches of records, reads them and lists traces.
RECORDS = frozenset(
    {Can.WRITE, Can.WRITE_BATCH, Can.READ, Can.READ_RECORDS, Can.READ_SHARED, Can.LIST, Can.LIST_ERRORS}
)

#: The abilities of such a store that can delete traces too.
DELETABLE_RECORDS = RECORDS | {Can.DELETE, Can.PURGE}


class Unsupported(exc.CommandError, NotImplementedError):
    """The driver does not have the ability. The text is one line for the user."""
