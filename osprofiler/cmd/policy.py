# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy``: check a policy file before the services read it."""

from __future__ import annotations

import argparse
import sys

from osprofiler import exc, policy
from osprofiler.cmd import cliutils, output
from osprofiler.cmd.commands import BaseCommand


class PolicyCommands(BaseCommand):
    """Check the policy file, which sets sampling and switches for each service."""

    group_name = "policy"

    @cliutils.examples(
        "osprofiler policy check /etc/osprofiler/policy.yaml",
        "osprofiler policy check policy.yaml --service nova-compute",
    )
    @cliutils.arg("file", metavar="FILE", help="the file that [profiler] policy_file names")
    @cliutils.arg(
        "--service", metavar="NAME", help="print the settings for this service, by its name in Jaeger and reports"
    )
    def check(self, args: argparse.Namespace) -> int:
        """List the mistakes in a policy file, and the lines that can never take effect.

        With --service also print the settings for one service.
        Exit status: 0 if services can use the file, 1 otherwise.
        """
        try:
            loaded = policy.load(args.file)
        except policy.PolicyError as fault:
            for mistake in fault.mistakes:
                print(f"{args.file}: {mistake}", file=sys.stderr)
            return 1
        except (OSError, UnicodeDecodeError) as fault:
            raise exc.CommandError(f"cannot read {args.file}: {getattr(fault, 'strerror', None) or fault}") from fault
        for line in loaded.unused():
            print(f"{args.file}: {line}", file=sys.stderr)
        if args.service is None:
            output.write(output.text(f"{args.file}: no mistakes"))
        else:
            nothing = f"{args.file} sets nothing for {args.service}"
            output.write(_lines(loaded.of(args.service)) or output.text(nothing))
        return 0


def _lines(settings: dict[str, object]) -> list[str]:
    """*settings* as lines of a policy file."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, bool):
            lines.append(f"{name}: {str(value).lower()}\n")
        elif isinstance(value, str):
            lines.append(f"{name}: {value}\n")
        elif name == "operations":
            assert isinstance(value, tuple)
            lines += ["operations:\n", *(f'  "{pattern}": {spec}\n' for pattern, spec in value)]
        else:
            lines.append(f"{name}: [{', '.join(map(str, value))}]\n")  # type: ignore[call-overload]
    return lines
