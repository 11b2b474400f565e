# SPDX-License-Identifier: Apache-2.0
"""The command that shows a trace, in every form there is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from osprofiler.cmd import cliutils, output, sources
from osprofiler.cmd.progress import Progress
from osprofiler.reports.analysis import skew
from osprofiler.reports.model import Trace
from osprofiler.reports.views import dot, html, jaeger_json, json_report, tree

#: A trace's place on the command line.
TRACE_HELP = (
    "the trace's id, its beginning, Jaeger's 32 digits, a link to it in Jaeger's UI, the short id that openstackclient "
    "prints, or `latest`; or a file with it (`-`: standard input), as --json, --jaeger-json or `osprofiler trace "
    "export` write it"
)


class ShowingCommands:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --html --out trace.html",
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --jaeger-json --out for-the-jaeger-ui.json",
        "osprofiler trace show latest",
        "osprofiler trace show 6b1f7f",
        "osprofiler trace show trace.json --dot",
    )
    @cliutils.arg("trace", help=TRACE_HELP)
    @sources.store
    @cliutils.arg("--json", dest="use_json", action="store_true", help="as JSON, in osprofiler 4's shape")
    @cliutils.arg("--html", dest="use_html", action="store_true", help="as one HTML page that needs no network")
    @cliutils.arg(
        "--local-libs",
        dest="local_libs",
        action="store_true",
        help="accepted for compatibility: the page needs no libraries",
    )
    @cliutils.arg("--dot", dest="use_dot", action="store_true", help="as a graph in the DOT language")
    @cliutils.arg(
        "--render-dot",
        dest="render_dot_filename",
        metavar="FILE",
        help="draw the graph into FILE.pdf (needs graphviz' program dot)",
    )
    @cliutils.arg(
        "--jaeger-json", dest="use_jaeger_json", action="store_true", help="as the JSON file that Jaeger's UI opens"
    )
    @cliutils.arg(
        "--recorded-times",
        dest="recorded_times",
        action="store_true",
        help="times as the hosts' clocks said, where they disagree (--json and --jaeger-json always have these)",
    )
    @cliutils.arg("--out", dest="file_name", metavar="FILE", help="write into FILE instead of the terminal")
    def show(self, args: argparse.Namespace) -> None:
        """Show a trace: as a tree in the terminal, or as JSON, HTML, DOT or Jaeger's JSON."""
        if args.use_json + args.use_html + args.use_dot + args.use_jaeger_json > 1:
            raise sources.BadInput("choose one of --json, --html, --dot and --jaeger-json")
        trace = sources.trace(args, args.trace)
        if args.render_dot_filename:
            with Progress("drawing"):
                drawn = dot.render(_corrected(args, trace), Path(args.render_dot_filename))
            print(f"osprofiler: drawn into {drawn}", file=sys.stderr)
            if not (args.use_json or args.use_html or args.use_dot or args.use_jaeger_json):
                return
        if args.file_name:
            with Progress(f"writing {args.file_name}"):
                output.write(_written(args, trace), args.file_name)
        else:
            output.write(_written(args, trace))


def _written(args: argparse.Namespace, trace: Trace) -> Iterator[str]:
    if args.use_json:
        return json_report.text(trace.report or json_report.report(trace))
    if args.use_jaeger_json:
        return jaeger_json.text(trace)
    trace = _corrected(args, trace)
    if args.use_html:
        return html.text(trace)
    if args.use_dot:
        return dot.text(trace)
    style = tree.Style() if args.file_name else output.tree_style()
    return (f"{line}\n" for line in tree.lines(trace, style))


def _corrected(args: argparse.Namespace, trace: Trace) -> Trace:
    return trace if args.recorded_times else skew.correct(trace)
