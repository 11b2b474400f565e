# SPDX-License-Identifier: Apache-2.0
"""The figures of a run, as text."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Iterator, Mapping

from tests.servers import Server


def machine() -> str:
    """Return what the figures were taken on, and the day."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return f"{os.cpu_count()} cores, {gibibytes:.0f} GiB, CPython {platform.python_version()}, {today}"


def memory(servers: Mapping[str, Server]) -> str:
    """Return the most memory that each server has used."""
    return ", ".join(f"{name} {server.peak_bytes / 2**20:.0f} MiB" for name, server in servers.items())


def processor(servers: Mapping[str, Server], feeding_s: float, spans: int) -> str:
    """Return the processor time that each server and the feeding processes have used for a span."""
    used_s = {"the processes": feeding_s, **{name: server.processor_s for name, server in servers.items()}}
    return ", ".join(f"{name} {1e6 * seconds / spans:.0f} us" for name, seconds in used_s.items())


def lines(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Return a line for each name and its text."""
    for name, text in rows:
        yield f"{name:20} {text}"
