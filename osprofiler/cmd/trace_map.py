# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace map``: show which service calls which."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from osprofiler.cmd import cliutils, output, set_work, sets, sources
from osprofiler.reports import wording
from osprofiler.reports.analysis import service_map
from osprofiler.reports.analysis.service_map import ServiceMap
from osprofiler.reports.model import Trace
from osprofiler.reports.views import map_views


class MapCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace map --since 1d",
        "osprofiler trace map traces.jsonl --html --out services.html",
        "osprofiler trace map folder-of-jaeger-json --dot --out services.dot",
    )
    @cliutils.arg("traces", nargs="*", metavar="TRACE", help=sets.SET_HELP)
    @sets.options
    @cliutils.arg("--dot", dest="use_dot", action="store_true", help="print a graph in the DOT language")
    @cliutils.USE_HTML
    @cliutils.ROWS
    @cliutils.arg(
        "--json", dest="use_json", action="store_true", help="print JSON, as a response of Jaeger's /api/dependencies"
    )
    @cliutils.OUT
    def map(self, args: argparse.Namespace) -> int:
        """Show which service calls which: how often, how often it failed, and how long it took.

        A call is a span whose parent is of another service.
        """
        sources.only_one(json=args.use_json, html=args.use_html, dot=args.use_dot)
        services = ServiceMap()
        status = sets.gather(set_work.parts(args, args.traces, _Calls()), services.merge)
        output.write(_pieces(args, services), args.file_name)
        return status


class _Calls(set_work.Work[ServiceMap]):
    """The calls between services."""

    def part(self, traces: Iterable[Trace]) -> ServiceMap:
        return service_map.of(traces)


def _pieces(args: argparse.Namespace, services: ServiceMap) -> Iterable[str]:
    if args.use_html:
        return [map_views.html_text(services)]
    if args.use_dot:
        return map_views.dot_text(services)
    return map_views.dependencies(services) if args.use_json else _lines(services, args.rows)


def _lines(services: ServiceMap, rows: int) -> Iterator[str]:
    if not services.calls:
        yield "No service calls another one.\n"
        return
    calls = sorted(services.calls.items(), key=lambda item: (-item[1].count, item[0]))
    lines = [
        (str(each.count), str(each.errors), wording.duration(each.total_us // each.count), f"{caller} -> {called}")
        for (caller, called), each in calls[:rows]
    ]
    yield from output.columns(("calls", "failed", "mean", "services"), lines)
    yield from output.left_out(len(calls), rows, "pair")
