# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace show``: show a trace in one of its forms."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from osprofiler.cmd import cliutils, output, sources
from osprofiler.cmd.progress import Progress
from osprofiler.reports.analysis import skew
from osprofiler.reports.model import Trace
from osprofiler.reports.views import dot, html, jaeger_json, json_report, perfetto, speedscope, tree

#: The forms that exclude each other; ``use_`` and a name is the argument.
_FORMS = ("json", "html", "dot", "jaeger_json", "perfetto", "speedscope")


class ShowCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --html --out trace.html",
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --jaeger-json --out for-the-jaeger-ui.json",
        "osprofiler trace show latest",
        "osprofiler trace show latest --perfetto --out for-ui.perfetto.dev.json",
        "osprofiler trace show 6b1f7f",
        "osprofiler trace show trace.json --dot",
    )
    @cliutils.arg("trace", metavar="TRACE", help=sources.TRACE_HELP)
    @sources.store
    @cliutils.arg("--json", dest="use_json", action="store_true", help="print JSON in the shape of osprofiler 4")
    @cliutils.USE_HTML
    @cliutils.arg(
        "--local-libs",
        dest="local_libs",
        action="store_true",
        help="has no effect (for compatibility): the page needs no libraries",
    )
    @cliutils.arg("--dot", dest="use_dot", action="store_true", help="print a graph in the DOT language")
    @cliutils.arg(
        "--render-dot",
        dest="render_dot_filename",
        metavar="FILE",
        help="draw the graph into FILE.pdf (needs the program dot of graphviz)",
    )
    @cliutils.arg(
        "--jaeger-json", dest="use_jaeger_json", action="store_true", help="print JSON that Jaeger's UI can open"
    )
    @cliutils.arg(
        "--perfetto",
        dest="use_perfetto",
        action="store_true",
        help="print JSON that ui.perfetto.dev and Chrome can open",
    )
    @cliutils.arg(
        "--speedscope", dest="use_speedscope", action="store_true", help="print JSON that speedscope.app can open"
    )
    @cliutils.arg(
        "--recorded-times",
        dest="recorded_times",
        action="store_true",
        help="do not correct times where the clocks of hosts disagree (--json and --jaeger-json never correct them)",
    )
    @cliutils.OUT
    def show(self, args: argparse.Namespace) -> None:
        """Show a trace as a tree in the terminal, or as JSON, HTML, DOT, or a file for another viewer."""
        forms = {form: getattr(args, f"use_{form}") for form in _FORMS}
        sources.only_one(**forms)
        trace = sources.trace(args, args.trace)
        if args.render_dot_filename:
            with Progress("drawing"):
                pdf = dot.render(_corrected(args, trace), Path(args.render_dot_filename))
            print(f"osprofiler: drawn into {pdf}", file=sys.stderr)
            if not any(forms.values()):
                return
        if args.file_name:
            with Progress(f"writing {args.file_name}"):
                output.write(_pieces(args, trace), args.file_name)
        else:
            output.write(_pieces(args, trace))


def _pieces(args: argparse.Namespace, trace: Trace) -> Iterator[str]:
    if args.use_json:
        return json_report.text(trace.report or json_report.report(trace))
    if args.use_jaeger_json:
        return jaeger_json.text(trace)
    trace = _corrected(args, trace)
    if args.use_html:
        return html.text(trace)
    if args.use_dot:
        return dot.text(trace)
    if args.use_perfetto:
        return perfetto.text(trace)
    if args.use_speedscope:
        return speedscope.text(trace)
    style = tree.Style() if args.file_name else output.tree_style()
    return (f"{line}\n" for line in tree.lines(trace, style))


def _corrected(args: argparse.Namespace, trace: Trace) -> Trace:
    return trace if args.recorded_times else skew.correct(trace)
