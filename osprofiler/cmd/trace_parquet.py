# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace export --parquet``: write the spans of a set of traces as a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from osprofiler import exc, reports
from osprofiler.cmd import set_work, sets
from osprofiler.reports import wording
from osprofiler.reports.analysis import skew
from osprofiler.reports.model import Trace
from osprofiler.reports.views.span_rows import Row, Rows


def run(args: argparse.Namespace) -> int:
    """Write the set that *args* choose. Returns the exit status. Raises CommandError."""
    try:
        from osprofiler.reports.views.parquet_files import ParquetWriter
    except ImportError as fault:
        raise exc.CommandError(f"--parquet needs pyarrow ({fault}): pip install 'osprofiler[parquet]'") from None
    try:
        with ParquetWriter(Path(args.parquet)) as writer:

            def take(tables: list[list[Row]]) -> None:
                for rows in tables:
                    writer.add(rows)

            status = sets.gather(set_work.parts(args, args.traces, _Tables()), take, "exporting traces")
    except OSError as fault:
        raise exc.CommandError(f"cannot write {args.parquet}: {fault.strerror or fault}") from fault
    spans = f"{wording.counted(writer.spans, 'span')} of {wording.counted(writer.traces, 'trace')}"
    queries = Path(reports.__file__).parent / "sql"
    print(f"osprofiler: {spans} in {args.parquet}; SQL for them is in {queries}", file=sys.stderr)
    return status


class _Tables(set_work.Work[list[list[Row]]]):
    """The rows of each trace."""

    def __init__(self) -> None:
        self._rows = Rows()

    def part(self, traces: Iterable[Trace]) -> list[list[Row]]:
        return [list(self._rows.of(skew.correct(trace))) for trace in traces]
