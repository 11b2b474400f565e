# SPDX-License-Identifier: Apache-2.0
"""A trace as a graph in graphviz' DOT language; and drawn, where graphviz' program ``dot`` is installed."""

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
    """The lines of a digraph. Dashed arrow: FollowsFrom; dotted: a join's references; dashed box: unfinished."""
    number = {trace_id: f"s{i}" for i, trace_id in enumerate(trace.spans)}
    yield "digraph trace {\n"
    yield '  node [shape=box, style="rounded", fontname="sans-serif"];\n'
    took = wording.duration(trace.end_us - trace.start_us)
    yield f"  total [label={_quoted([f'total - {took}', trace.base_id])}, shape=ellipse];\n"
    for trace_id, span in trace.spans.items():
        yield f"  {number[trace_id]} [{_look(span)}];\n"
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


def _look(span: SpanNode) -> str:
    took = wording.duration(span.duration_us or 0) if span.finished else "unfinished"
    place = wording.place(span)
    about = wording.detail(span)[:_DETAIL_CHARS]
    error = f"error {span.error}" if span.error else ""
    label = [f"{place}: {span.operation}" if place else span.operation, about, error, took]
    look = [f"label={_quoted(filter(None, label))}"]
    if span.error:
        look.append("color=red")
    if not span.finished:
        look.append('style="rounded,dashed"')
    return ", ".join(look)


def _quoted(label: Iterable[str]) -> str:
    """Lines as a DOT string, in which only the quote and the backslash mean anything."""
    safe = (wording.one_line(line).replace("\\", "\\\\").replace('"', '\\"') for line in label)
    return '"' + "\\n".join(safe) + '"'


def render(trace: Trace, target: Path) -> Path:
    """Draw the graph as PDF into *target* (``.pdf`` is added where it has no such ending); where it is.

    Raises CommandError where ``dot`` is not installed or fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise exc.CommandError("drawing needs the program 'dot': install graphviz, or use --dot without --render-dot")
    pdf = target if target.suffix == ".pdf" else target.with_name(target.name + ".pdf")
    done = subprocess.run(
        [program, "-Tpdf", "-o", str(pdf)], input="".join(text(trace)), capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise exc.CommandError(f"'dot' could not draw the trace: {said[0]}")
    return pdf
