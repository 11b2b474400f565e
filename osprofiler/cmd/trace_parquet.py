# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace export --parquet``: write the spans of a set of traces as a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from osprofiler import exc, reports
from osprofiler.cmd import output, sets
from osprofiler.reports.analysis import skew
from osprofiler.reports.model import Trace


def run(args: argparse.Namespace) -> int:
    """Write the set that *args* choose. Returns the exit status. Raises CommandError."""
    try:
        from osprofiler.reports.views.parquet_files import ParquetWriter
    except ImportError as fault:
        raise exc.CommandError(f"--parquet needs pyarrow ({fault}): pip install 'osprofiler[parquet]'") from None
    try:
        with ParquetWriter(Path(args.parquet)) as writer:

            def take(trace: Trace) -> None:
                writer.add(skew.correct(trace))

            status = sets.gather(sets.traces(args, args.traces), take, "exporting traces")
    except OSError as fault:
        raise exc.CommandError(f"cannot write {args.parquet}: {fault.strerror or fault}") from fault
    spans = f"{output.counted(writer.spans, 'span')} of {output.counted(writer.traces, 'trace')}"
    queries = Path(reports.__file__).parent / "sql"
    print(f"osprofiler: {spans} in {args.parquet}; SQL for them is in {queries}", file=sys.stderr)
    return status
