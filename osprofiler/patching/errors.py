# SPDX-License-Identifier: Apache-2.0
"""Errors of applying or reverting a patch. The text of each is one line for the user."""

from osprofiler import exc


class PatchError(exc.CommandError):
    """The operation failed. Nothing was changed, or all changes were undone."""


class NotInstalled(PatchError):
    """The package is not installed."""


class UnknownProject(PatchError):
    """There are no patches for a project of this name."""
