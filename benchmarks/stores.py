# SPDX-License-Identifier: Apache-2.0
"""The commands that look at many traces, on large stores: each command in a process of its own.

A store is a server of ``tests.servers``, a SQLite file, or any connection string.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from benchmarks.collect import CHILD, Size, child, say
from benchmarks.environments import Contender
from benchmarks.figures import Figures
from tests.servers import SERVERS, Missing

#: The stores that are measured unless others are named.
DEFAULT = ("sqlite", "postgres", "redis", "ferretdb", "elasticsearch")

#: The commands, and how many of the newest traces each reads: 0 if it only lists them, None for all.
COMMANDS: dict[str, int | None] = {
    "trace list --limit 50": 0,
    "trace list --limit 50 --service nova-compute": 0,
    "trace list --limit 50 --error": 0,
    "trace list --limit 50 --since 1h": 0,
    "trace critical-path --limit 1000": 1000,
    "trace critical-path --since 2d": None,
    "trace stats --since 2d": None,
}

_FILL_S, _COMMAND_S = 7200, 1800


class Failed(Exception):
    """A command did not succeed; the text is the end of its errors."""


def stores(names: Iterable[str], contender: Contender, size: Size, figures: Figures, filled: bool = False) -> list[str]:
    """Fill each of the stores *names*, unless they are *filled*, and run every command on it.

    Returns the names of the stores in *figures*.
    """
    measured = []
    for name in names:
        shown = urlsplit(name).scheme or name
        measured.append(shown)
        try:
            with _running(name) as url:
                if not filled:
                    say(f"{shown}: writing {size.traces:,} traces of {size.trace_spans} spans")
                    order = {"target": url, "traces": size.traces, "spans": size.trace_spans}
                    (made,) = child(contender, "fill_store.py", order, timeout_s=_FILL_S)
                    figures.add(shown, "write", "records_s", made["records"] / made["seconds"])
                for command, traces in COMMANDS.items():
                    spans = size.trace_spans * (size.traces if traces is None else min(traces, size.traces))
                    for repetition in range(size.others):
                        say(f"{shown}: {command}, repetition {repetition + 1}")
                        _measure(shown, url, command, spans, contender, figures)
        except Missing as reason:
            figures.notes.append(str(reason))
        except Failed as reason:
            figures.wrong.append(f"{shown}: {reason}")
    return measured


@contextlib.contextmanager
def _running(name: str) -> Iterator[str]:
    """The connection string of the store *name*, whose server runs meanwhile."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/traces.db"
    elif name in SERVERS:
        with SERVERS[name]() as server:
            yield server.url
    else:
        yield name


def _measure(store: str, url: str, command: str, spans: int, contender: Contender, figures: Figures) -> None:
    python = str(contender.python())
    start_s = Process([python, "-c", "pass"], contender).wall_s
    made = Process([python, "-m", "osprofiler.cmd.shell", *command.split(), "--connection-string", url], contender)
    figures.add(store, "(start of Python)", "store_s", start_s)
    figures.add(store, command, "store_s", made.wall_s)
    figures.add(store, command, "store_cpu_s", made.cpu_s)
    figures.add(store, command, "store_mb", made.most_mb)
    if spans:
        figures.add(store, command, "spans_s", spans / made.wall_s)


class Process:
    """A command in a process of its own, run to its end: its wall and CPU time, and its most memory. Raises Failed."""

    def __init__(self, command: list[str], contender: Contender) -> None:
        with tempfile.TemporaryFile() as errors:
            begin = time.perf_counter()
            process = subprocess.Popen(
                command, env=contender.environ(), cwd=CHILD, stdout=subprocess.DEVNULL, stderr=errors, close_fds=True
            )
            killer = threading.Timer(_COMMAND_S, process.kill)
            killer.start()
            try:
                # Only this call tells what the one process has used.
                _, status, usage = os.wait4(process.pid, 0)
            finally:
                killer.cancel()
            self.wall_s = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                errors.seek(0)
                text = errors.read().decode(errors="replace")
                raise Failed(f"{' '.join(command[2:-1])}: status {process.returncode}: {text[-300:]}")
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.most_mb = usage.ru_maxrss / 1024
