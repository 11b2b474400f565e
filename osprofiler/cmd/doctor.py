# SPDX-License-Identifier: Apache-2.0
"""``osprofiler doctor``: check a service's tracing from its configuration, the store included."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from osprofiler.cmd import argument_types, cliutils, output, sources
from osprofiler.cmd.progress import Progress

if TYPE_CHECKING:
    from osprofiler.diagnosis.results import Result
    from osprofiler.diagnosis.service_config import ServiceConfig

_HEADS = ("result", "check", "details")


@cliutils.examples(
    "osprofiler doctor --config-file /etc/nova/nova.conf",
    "osprofiler doctor --config-file /etc/nova/nova.conf --with /etc/glance/glance-api.conf",
    "osprofiler doctor --config-file /etc/neutron/neutron.conf --rate 500 --json",
)
@cliutils.arg(
    "--config-file",
    action="append",
    default=[],
    metavar="FILE",
    help="a configuration file of the service; may be given several times, in the order of the service's own "
    "command line",
)
@cliutils.arg(
    "--config-dir",
    action="append",
    default=[],
    metavar="FOLDER",
    help="a folder of configuration files (*.conf); may be given several times",
)
@cliutils.arg("--project", metavar="NAME", help="the project of the service, as its code names it: nova")
@cliutils.arg(
    "--service",
    metavar="NAME",
    help="the service, for the policy: with --project as its code names it (osapi_compute), without --project its "
    "whole name in Jaeger and reports (nova-osapi_compute)",
)
@cliutils.arg(
    "--with",
    dest="others",
    action="append",
    default=[],
    metavar="FILE",
    help="the configuration file of another service: do both share a key and a store? May be given several times",
)
@cliutils.arg(
    "--paste",
    metavar="FILE",
    help="the PasteDeploy file (default: the one that the configuration names, or that is next to it)",
)
@cliutils.arg(
    "--rate",
    type=argument_types.rate,
    metavar="N",
    help="the spans that one process makes in a second: is its queue large enough?",
)
@cliutils.arg("--json", dest="use_json", action="store_true", help="print JSON, for monitoring; times in milliseconds")
def run(args: argparse.Namespace) -> int:
    """Check a service's tracing: its options, keys, paste file and store.

    Reads the configuration files of the service, and writes one test trace to its store, reads it and deletes it. Run
    it as the service's user, in the service's Python environment. It prints no key: equal keys have equal fingerprints.
    Exit status: 0 if no check failed (warnings do not count), 1 if one failed, 2 if a file or an argument is wrong.
    """
    from osprofiler.diagnosis import checks
    from osprofiler.diagnosis.results import Status, worst
    from osprofiler.diagnosis.service_config import ServiceConfig, Unusable

    if not (args.config_file or args.config_dir):
        raise sources.BadInput("name the service's configuration, for instance --config-file /etc/nova/nova.conf")
    try:
        config = ServiceConfig(args.config_file, args.config_dir, project=args.project, service=args.service)
        others = [ServiceConfig([file]) for file in args.others]
        with Progress("checking the service"):
            results = list(checks.run(config, others=others, paste=args.paste, rate=args.rate))
    except Unusable as error:
        raise sources.BadInput(str(error)) from None
    if args.use_json:
        output.write([_json(config, results)])
    else:
        output.write(output.columns(_HEADS, [row for result in results for row in _rows(result)], to_the_left=True))
    return 1 if worst(results) is Status.FAIL else 0


def _rows(result: Result) -> Iterator[tuple[str, str, str]]:
    """A row for the result, and one for what to do."""
    yield result.status.value, result.check, result.text
    if result.advice:
        yield "", "", f"-> {result.advice}"


def _json(config: ServiceConfig, results: Sequence[Result]) -> str:
    from osprofiler.diagnosis.results import worst

    document = {
        "service": config.name,
        "config_files": config.files,
        "result": worst(results).value,
        "checks": [
            {
                "check": result.check,
                "result": result.status.value,
                "text": result.text,
                "advice": result.advice,
                "values": dict(result.values),
            }
            for result in results
        ],
    }
    return f"{json.dumps(document, indent=2, default=str)}\n"
