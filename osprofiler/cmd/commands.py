# SPDX-License-Identifier: Apache-2.0
"""The groups of commands: each public method of a group is one command, and its docstring its help."""

from __future__ import annotations

from osprofiler.cmd.comparing import ComparingCommands
from osprofiler.cmd.explaining import ExplainingCommands
from osprofiler.cmd.listing import ListingCommands
from osprofiler.cmd.moving import MovingCommands
from osprofiler.cmd.showing import ShowingCommands
from osprofiler.cmd.sources import CONNECTION_STRING, BadInput

__all__ = ["BaseCommand", "TraceCommands", "BadInput", "CONNECTION_STRING"]


class BaseCommand:
    """A group of commands; every subclass with a ``group_name`` is one, also those of other packages."""

    group_name: str | None = None


class TraceCommands(
    ShowingCommands, ListingCommands, ExplainingCommands, ComparingCommands, MovingCommands, BaseCommand
):
    """What can be done with stored traces."""

    group_name = "trace"
