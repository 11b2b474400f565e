# SPDX-License-Identifier: Apache-2.0
"""What a driver can do. Its class declares it; callers ask the declaration and try nothing out."""

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
    """``get_report`` gives a trace."""

    READ_RECORDS = "read the records of traces"
    """``read`` gives the records of a trace."""

    LIST = "list traces"
    """``list_traces`` works, and so do ``find_ids`` and ``candidates``."""

    LIST_ERRORS = "list the traces that failed"
    """``list_error_traces`` works."""

    SEARCH = "search for traces"
    """``candidates`` asks the store for a part of its traces. Without it all of them are listed."""

    DELETE = "delete traces"
    """``delete`` removes a trace."""

    PURGE = "delete traces by their age"
    """``purge`` removes old traces."""


class Unsupported(exc.CommandError, NotImplementedError):
    """The driver was asked for something that it cannot do. Its text is one line for the user."""
