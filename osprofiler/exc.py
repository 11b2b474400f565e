# SPDX-License-Identifier: Apache-2.0
"""The exceptions of the command line and of the drivers that callers may catch."""

from __future__ import annotations


class CommandError(Exception):
    """The command failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message)
        #: One line for the user: the error, and what to do.
        self.message = message

    def __str__(self) -> str:
        return self.message or self.__class__.__doc__ or ""


class LogInsightAPIError(Exception):
    """Log Insight answered a request with an error."""


class LogInsightLoginTimeout(Exception):
    """The session with Log Insight has expired and a new login is needed."""
