# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy show``: which policy the running processes of a service follow, and since when."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import time
from collections.abc import Iterable, Iterator

from osprofiler import exc
from osprofiler.cmd import argument_types, cliutils, input_files, output, sources
from osprofiler.cmd.progress import Progress
from osprofiler.connection.secrets import masked
from osprofiler.drivers import search
from osprofiler.drivers.abilities import Can
from osprofiler.records.record import timestamp
from osprofiler.steering import report
from osprofiler.steering.follower import digest_of
from osprofiler.steering.report import Report

_HEADS = ("service", "host", "pid", "policy", "since", "told", "source")


class ShowCommand:
    """Part of the group ``policy``."""

    @cliutils.examples(
        "osprofiler policy show --service nova-compute",
        "osprofiler policy show --service 'nova-*' --file policy.yaml",
        "osprofiler policy show --json",
    )
    @sources.store
    @cliutils.arg("--service", metavar="NAME", help="only processes of this service (wildcards: *, ?); default: all")
    @cliutils.arg("--file", metavar="FILE", help="also say how many processes follow this policy")
    @cliutils.arg(
        "--since",
        dest="since_us",
        type=argument_types.moment_us,
        default="2h",
        metavar="TIME",
        help="only processes that have told the store their policy since this time; they do so after each change and "
        "after each [profiler] policy_report seconds (an hour); default: 2h (ago)",
    )
    @cliutils.USE_JSON
    def show(self, args: argparse.Namespace) -> int:
        """Show which policy the running processes of a service follow, and since when.

        The processes have told this to the store of their traces. The policy is shown by the first 12 hexadecimal
        digits of its SHA-256, as `sha256sum` prints them. A process that has ended is shown until --since.
        Exit status: 0; with --file 1 if not all processes follow this policy, or none was found.
        """
        wanted = digest_of(input_files.content(args.file)) if args.file else None
        told = [each for each in _told(args) if args.service is None or fnmatch.fnmatchcase(each.service, args.service)]
        told.sort(key=lambda each: (each.service, each.host, each.pid))
        if args.use_json:
            output.write(output.json_list(each._asdict() for each in told))
        elif told:
            output.write(output.columns(_HEADS, list(map(_row, told)), to_the_left=True))
            output.write(_settings(told))
        if not told:
            which = f"no process of {args.service}" if args.service else "no process"
            print(f"osprofiler: {which} has told the store a policy since {timestamp(args.since_us)}", file=sys.stderr)
        if wanted is None:
            return 0
        same = sum(each.digest == wanted for each in told)
        print(f"osprofiler: {same} of {len(told)} follow {args.file} ({wanted})", file=sys.stderr)
        return 0 if told and same == len(told) else 1


def _told(args: argparse.Namespace) -> list[Report]:
    """The latest report of each process."""
    used = sources.driver(args)
    if Can.READ not in used.can:
        raise exc.CommandError(f"{masked(used.connection_str)} cannot be read: name the store behind it")
    latest: dict[tuple[str, str, int], Report] = {}
    with Progress("reading reports"):
        for base_id in report.base_ids(args.since_us / 1e6, time.time()):
            for each in sorted(report.reports(search.read(used, base_id)), key=lambda each: each.at_us):
                if each.at_us >= args.since_us:
                    latest[each.service, each.host, each.pid] = each
    sources.name_default(args, used)
    return list(latest.values())


def _row(told: Report) -> list[str]:
    told_at = timestamp(told.at_us).partition(".")[0] + "Z"
    return [told.service, told.host, str(told.pid), told.digest or "none", told.since, told_at, told.source]


def _settings(told: Iterable[Report]) -> Iterator[str]:
    """What each policy sets for each service."""
    yield "\n"
    for service, digest, settings in sorted({(each.service, each.digest, each.settings) for each in told}):
        if digest:
            yield from output.text(f"{service} by {digest}: {settings or 'nothing'}")
