# SPDX-License-Identifier: Apache-2.0
"""A trace as a graph in the DOT language, and drawn as PDF by the program ``dot`` of graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from osprofiler import exc
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace

_DETAIL_CHARS = 40


def text(trace: Trace) -> Iterator[str]:
    """The lines of a digraph.

    Dashed arrow: FollowsFrom. Dotted arrow: a reference of a join. Dashed box: an unfinished span.
    """
    number = {trace_id: f"s{i}" for i, trace_id in enumerate(trace.spans)}
    yield "digraph trace {\n"
    yield '  node [shape=box, style="rounded", fontname="sans-serif"];\n'
    took = wording.duration(trace.end_us - trace.start_us)
    yield f"  total [label={quoted([f'total - {took}', trace.base_id])}, shape=ellipse];\n"
    for trace_id, span in trace.spans.items():
        yield f"  {number[trace_id]} [{_attributes(span)}];\n"
    for root in trace.roots:
        label = ' [label="parent missing", style=dotted]' if root.parent_missing else ""
        yield f"  total -> {number[root.trace_id]}{label};\n"
    for trace_id, span in trace.spans.items():
        for child in span.children:
            style = ' [style=dashed, label="follows from"]' if child.detached else ""
            yield f"  {number[trace_id]} -> {number[child.trace_id]}{style};\n"
        for link in span.links:
            if link.trace_id in number:
                arrow = '[style=dotted, constraint=false, label="joins"]'
                yield f"  {number[link.trace_id]} -> {number[trace_id]} {arrow};\n"
    yield "}\n"


def _attributes(span: SpanNode) -> str:
    took = wording.duration(span.duration_us or 0) if span.finished else "unfinished"
    place = wording.place(span)
    detail = wording.detail(span)[:_DETAIL_CHARS]
    error = f"error {span.error}" if span.error else ""
    label = [f"{place}: {span.operation}" if place else span.operation, detail, error, took]
    attributes = [f"label={quoted(filter(None, label))}"]
    if span.error:
        attributes.append("color=red")
    if not span.finished:
        attributes.append('style="rounded,dashed"')
    return ", ".join(attributes)


def quoted(label: Iterable[str]) -> str:
    """Lines as a DOT string; only the quote and the backslash need an escape."""
    safe = (wording.one_line(line).replace("\\", "\\\\").replace('"', '\\"') for line in label)
    return '"' + "\\n".join(safe) + '"'


def render(trace: Trace, target: Path) -> Path:
    """Draw the graph as PDF into *target*; adds the ending ``.pdf`` if it is missing. Returns the file's path.

    Raises CommandError if ``dot`` is not installed or fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise exc.CommandError("drawing needs the program 'dot': install graphviz, or use --dot without --render-dot")
    pdf = target if target.suffix == ".pdf" else target.with_name(target.name + ".pdf")
    process = subprocess.run(
        [program, "-Tpdf", "-o", str(pdf)], input="".join(text(trace)), capture_output=True, text=True, check=False
    )
    if process.returncode:
        errors = process.stderr.strip().splitlines() or [f"status {process.returncode}"]
        raise exc.CommandError(f"'dot' could not draw the trace: {errors[0]}")
    return pdf
