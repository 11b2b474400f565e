# SPDX-License-Identifier: Apache-2.0
"""The analyses of a large store: the commands of ``osprofiler``, SQL on an export, and aggregations of the index."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from osprofiler import reports
from osprofiler.reports.analysis.statistics import percentile
from tests.environments import REPOSITORY
from tools.scale import feed
from tools.scale.shape import Feed
from tools.scale.stored import SPANS, Index

_SQL = Path(reports.__file__).parent / "sql"
_QUERIES = ("operations", "hours", "steps", "changes", "errors", "traces")
_PERCENTS = (50, 95, 99)


Rows = list[tuple[Any, ...]]


class Failed(Exception):
    """A command failed, or two analyses differ; the text says which."""


class Timed(NamedTuple):
    """How long an analysis took."""

    name: str
    seconds: float
    peak_bytes: int  # 0: not of a process of its own
    note: str = ""

    def __str__(self) -> str:
        memory = f", {self.peak_bytes / 2**20:.0f} MiB" if self.peak_bytes else ""
        return f"{self.seconds:8.2f} s{memory}{f'; {self.note}' if self.note else ''}"


def commands(store: str, since: str) -> Iterator[Timed]:
    """Run the commands that read traces through the query service, those that began at *since* or later."""
    for words in (["list", "--limit", "50"], ["stats"], ["critical-path"]):
        yield _run(" ".join(words), ["trace", *words, "--connection-string", store, "--since", since])


def export(store: str, since: str, folder: Path) -> Timed:
    """Export the traces that began at *since* or later to Parquet files in *folder*."""
    words = ["trace", "export", "--parquet", str(folder), "--connection-string", store, "--since", since]
    done = _run("export --parquet", words)
    size = sum(file.stat().st_size for file in folder.iterdir())
    (row,) = duckdb.sql(f"SELECT COUNT(*) FROM '{folder}/*.parquet'").fetchall()
    return done._replace(
        note=f"{row[0]:,} spans, {row[0] / done.seconds:,.0f} a second, {size / row[0]:.0f} bytes a span"
    )


def sql(folder: Path) -> Iterator[tuple[str, Timed, Rows]]:
    """Run the shipped SQL on the files in *folder*. Yields the name and the rows of each query too."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW spans AS SELECT * FROM '{folder}/*.parquet'")
        for name in _QUERIES:
            began = time.monotonic()
            rows = connection.execute((_SQL / f"{name}.sql").read_text()).fetchall()
            yield name, Timed(f"{name}.sql", time.monotonic() - began, 0, f"{len(rows)} rows"), rows


def aggregations(index: Index, feeds: Sequence[Feed]) -> Timed:
    """Ask the index for the percentiles of each operation of *feeds*, and compare with what was made.

    Counts must be equal; percentiles of the index are approximate. Raises Failed.
    """
    percentiles = {"percentiles": {"field": "duration", "percents": _PERCENTS}}
    operations = {"terms": {"field": "operationName", "size": 1_000}, "aggregations": {"us": percentiles}}
    services = {"terms": {"field": "process.serviceName", "size": 1_000}, "aggregations": {"operations": operations}}
    began = time.monotonic()
    response = index.ask("POST", f"{SPANS}/_search", {"size": 0, "aggregations": {"services": services}})
    seconds = time.monotonic() - began
    stored = {
        (service["key"], operation["key"]): (operation["doc_count"], list(operation["us"]["values"].values()))
        for service in response["aggregations"]["services"]["buckets"]
        for operation in service["operations"]["buckets"]
    }
    made = {key: sorted(durations) for key, durations in _durations(feeds).items()}
    if {key: count for key, (count, _) in stored.items()} != {key: len(durations) for key, durations in made.items()}:
        raise Failed("the index does not have as many spans of each operation as were made")
    off = max(
        abs(us / percentile(made[key], percent) - 1)
        for key, (_, values) in stored.items()
        for percent, us in zip(_PERCENTS, values, strict=True)
    )
    return Timed("aggregations", seconds, 0, f"of all spans; counts equal, percentiles at most {100 * off:.1f} % off")


def _durations(feeds: Sequence[Feed]) -> dict[tuple[str, str], array[int]]:
    """The durations of the spans of *feeds*, by service and operation."""
    made: dict[tuple[str, str], array[int]] = {}
    for each in feeds:
        services = feed.services(each.process, len(feeds))
        for number in range(each.traces):
            for span in each.trace(number):
                key = services[span.called], span.operation
                made.setdefault(key, array("q")).append(span.end_us - span.start_us)
    return made


def _run(name: str, words: list[str]) -> Timed:
    """Run ``osprofiler``. Raises Failed with the last line that it wrote."""
    began = time.monotonic()
    command = [sys.executable, "-m", "osprofiler.cmd.shell", *words]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=REPOSITORY)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise Failed(f"osprofiler trace {name}: {(errors.read().splitlines() or ['no text'])[-1]}")
    return Timed(name, time.monotonic() - began, usage.ru_maxrss * 1024)
