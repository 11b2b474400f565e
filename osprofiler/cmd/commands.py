# SPDX-License-Identifier: Apache-2.0
"""The groups of commands. Each public method of a group is one command; its docstring is the command's help."""

from __future__ import annotations

from osprofiler.cmd.sources import BadInput
from osprofiler.cmd.trace_critical_path import CriticalPathCommand
from osprofiler.cmd.trace_delete import DeleteCommands
from osprofiler.cmd.trace_diff import DiffCommand
from osprofiler.cmd.trace_list import ListCommand
from osprofiler.cmd.trace_map import MapCommand
from osprofiler.cmd.trace_show import ShowCommand
from osprofiler.cmd.trace_stats import StatsCommand
from osprofiler.cmd.trace_transfer import TransferCommands
from osprofiler.connection.strings import CONNECTION_STRING

__all__ = ["BaseCommand", "TraceCommands", "BadInput", "CONNECTION_STRING"]


class BaseCommand:
    """A group of commands. Every subclass with a ``group_name`` becomes a group, also a subclass in another package."""

    group_name: str | None = None


class TraceCommands(
    ShowCommand,
    ListCommand,
    CriticalPathCommand,
    StatsCommand,
    DiffCommand,
    MapCommand,
    TransferCommands,
    DeleteCommands,
    BaseCommand,
):
    """Show, list, compare, copy and remove stored traces."""

    group_name = "trace"
