# SPDX-License-Identifier: Apache-2.0
"""What keeps a patch from being applied or reverted; the text is one line for the person who asked."""

from osprofiler import exc


class PatchError(exc.CommandError):
    """Nothing was changed, or all that was changed has been put back."""


class NotInstalled(PatchError):
    """The package is not there."""


class UnknownProject(PatchError):
    """There are no patches for a project of this name."""
