# SPDX-License-Identifier: Apache-2.0
"""The commands that read a whole set, on a folder of Jaeger's JSON and on a SQLite file with the same traces."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.collect import Size, child, say
from benchmarks.environments import Contender
from benchmarks.figures import Figures
from benchmarks.stores import Failed, Process

COMMANDS = ("critical-path", "stats", "map")

_FILL_S = 3600


def sets(contender: Contender, size: Size, figures: Figures) -> list[str]:
    """Make a fifth of a large store's traces, and run every command on both. Returns their names in *figures*."""
    traces = max(size.traces // 5, 1)
    spans = traces * size.trace_spans
    with tempfile.TemporaryDirectory() as made:
        folder, url = Path(made, "folder"), f"sqlite:///{made}/traces.db"
        folder.mkdir()
        say(f"sets: writing {traces:,} traces of {size.trace_spans} spans into a folder and into SQLite")
        order = {"traces": traces, "spans": size.trace_spans, "end_us": time.time_ns() // 1000}
        (written,) = child(contender, "fill_folder.py", {**order, "folder": str(folder)}, timeout_s=_FILL_S)
        child(contender, "fill_store.py", {**order, "target": url}, timeout_s=_FILL_S)
        for name, where in ("folder", [str(folder)]), ("sqlite", ["--connection-string", url]):
            for command in COMMANDS:
                for repetition in range(size.others):
                    say(f"{name}: {command}, repetition {repetition + 1}")
                    row = f"trace {command} SET"
                    arguments = ["-m", "osprofiler.cmd.shell", "trace", command, *where]
                    try:
                        process = Process([str(contender.python()), *arguments], contender)
                    except Failed as reason:
                        figures.wrong.append(f"{name}: {reason}")
                        break
                    figures.add(name, row, "spans_s", spans / process.wall_s)
                    figures.add(name, row, "store_cpu_s", process.cpu_s)
                    figures.add(name, row, "store_mb", process.most_mb)
                    figures.add(name, row, "json_times", process.cpu_s / written["json_s"])
    return ["folder", "sqlite"]
