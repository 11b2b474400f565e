# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy``: look at a policy file before the services do."""

from __future__ import annotations

import argparse
import sys

from osprofiler import exc, policy
from osprofiler.cmd import cliutils, output
from osprofiler.cmd.commands import BaseCommand


class PolicyCommands(BaseCommand):
    """The policy file, which says what is sampled and switched on in which service."""

    group_name = "policy"

    @cliutils.examples(
        "osprofiler policy check /etc/osprofiler/policy.yaml",
        "osprofiler policy check policy.yaml --service nova-compute",
    )
    @cliutils.arg("file", metavar="FILE", help="the file that [profiler] policy_file names")
    @cliutils.arg("--service", metavar="NAME", help="say what holds for this service, named as in Jaeger and reports")
    def check(self, args: argparse.Namespace) -> int:
        """Say each mistake in a policy file, or what it says to a service; and which lines can never count.

        Exit status: 0 where services can follow it, 1 otherwise.
        """
        try:
            found = policy.load(args.file)
        except policy.PolicyError as fault:
            for mistake in fault.mistakes:
                print(f"{args.file}: {mistake}", file=sys.stderr)
            return 1
        except (OSError, UnicodeDecodeError) as fault:
            raise exc.CommandError(f"cannot read {args.file}: {getattr(fault, 'strerror', None) or fault}") from fault
        for line in found.unused():
            print(f"{args.file}: {line}", file=sys.stderr)
        if args.service is None:
            print(f"{args.file}: no mistakes")
        else:
            output.write(_lines(found.of(args.service)) or [f"{args.file} says nothing to {args.service}\n"])
        return 0


def _lines(said: dict[str, object]) -> list[str]:
    """What is said, as it could stand in a policy."""
    lines = []
    for name, value in said.items():
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
