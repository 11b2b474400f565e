# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy``: check a policy before the services read it, sign it, and show which one they follow."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence

from osprofiler import exc
from osprofiler.cmd import cliutils, input_files, output
from osprofiler.cmd.commands import BaseCommand
from osprofiler.cmd.policy_show import ShowCommand
from osprofiler.cmd.policy_sign import SignCommand
from osprofiler.config.explanation import Step, explain
from osprofiler.config.trust import Trust


class PolicyCommands(ShowCommand, SignCommand, BaseCommand):
    """Check, sign and show the policy, which sets sampling and switches for each service."""

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
        loaded = input_files.policy_in(args.file)
        if loaded is None:
            return 1
        for line in loaded.unused():
            print(f"{args.file}: {line}", file=sys.stderr)
        if args.service is None:
            output.write(output.text(f"{args.file}: no mistakes"))
        else:
            nothing = f"{args.file} sets nothing for {args.service}"
            output.write(_lines(loaded.of(args.service)) or output.text(nothing))
        return 0

    @cliutils.examples(
        "osprofiler policy explain policy.yaml --service nova-api --method POST --path /v2.1/servers --user alice",
        "osprofiler policy explain policy.yaml --service nova-compute --operation 'rpc build_and_run_instance'",
    )
    @cliutils.arg("file", metavar="FILE", help="the file that [profiler] policy_file names")
    @cliutils.arg("--service", metavar="NAME", required=True, help="the service, by its name in Jaeger and reports")
    @cliutils.arg("--operation", metavar="NAME", help="the operation in Jaeger, such as 'rpc build_and_run_instance'")
    @cliutils.arg("--method", metavar="METHOD", help="the method of an HTTP request")
    @cliutils.arg("--path", metavar="PATH", help="the path of the HTTP request")
    @cliutils.arg(
        "--header",
        metavar="NAME=VALUE",
        action="append",
        help="a header; may be given several times",
    )
    @cliutils.arg("--network", metavar="IP", help="the address that the request comes from")
    @cliutils.arg("--project", metavar="ID", action="append", help="the project, by id or name; give it twice for both")
    @cliutils.arg("--user", metavar="ID", action="append", help="the user, by id or name; give it twice for both")
    @cliutils.arg("--role", metavar="NAME", action="append", help="a role of the user; may be given several times")
    @cliutils.arg("--key", metavar="ID", action="append", help="the key that signed the request, by id or name")
    def explain(self, args: argparse.Namespace) -> int:
        """Say which rule of a policy file counts for a request, and why.

        Without an option, nothing is known about that property of the request; without --key, no key asks.
        Exit status: 0 if it is clear what counts; 1 if it depends on more options, or if the file has mistakes.
        """
        loaded = input_files.policy_in(args.file)
        if loaded is None:
            return 1
        settings = loaded.of(args.service)
        steps = explain(settings.get("rules", ()), _known(args), datetime.datetime.now(datetime.timezone.utc))
        output.write([f"{line}\n" for step in steps for line in _explained(step)])
        if any(step.missing and step.may_count for step in steps):
            needed = {condition.name: None for step in steps if step.may_count for condition in step.missing}
            output.write(output.text(f"it is not clear what counts: add {', '.join(f'--{name}' for name in needed)}"))
            return 1
        if not (steps and steps[-1].counts):
            output.write([f"no rule counts for this request{_otherwise(settings, args.key)}\n"])
        return 0


def _known(args: argparse.Namespace) -> dict[tuple[str, str], Sequence[str]]:
    """What the options say about the request; see ``explanation``. Raises CommandError."""
    known: dict[tuple[str, str], Sequence[str]] = {("service", ""): (args.service,), ("key", ""): args.key or ()}
    for name in ("operation", "path", "network", "project", "user", "role"):
        value = getattr(args, name)
        if value is not None:
            known[name, ""] = (value,) if isinstance(value, str) else value
    if args.method is not None:
        known["method", ""] = (args.method.upper(),)
    for text in args.header or ():
        header, sign, value = text.partition("=")
        if not sign:
            raise exc.CommandError(f"--header {text}: expected NAME=VALUE")
        known["header", header.lower()] = (value,)
    return known


def _explained(step: Step) -> list[str]:
    """What one rule says about the request, as lines."""
    rule = step.rule
    title = f"line {rule.line}: rule {rule.reason!r}"
    if step.obstacle:
        return [f"{title} does not count: {step.obstacle}"]
    if step.failing is not None:
        return [f"{title} does not match: {step.failing}"]
    holding = [f"  {condition}" for condition in step.holding] or ["  it has no conditions"]
    if step.missing:
        return [f"{title} may match", *(f"  it depends on {condition}" for condition in step.missing)]
    return [f"{title} counts: {rule.sample}", *holding]


def _otherwise(settings: dict[str, object], keys: Sequence[str] | None) -> str:
    """What counts if no rule does."""
    if keys:
        return ": it is traced, as its key asks"
    names = [name for name in ("operations", "sampler") if settings.get(name)]
    return f": {' and '.join(names)} of the service count" if names else ": the options of the service count"


def _lines(settings: dict[str, object]) -> list[str]:
    """*settings* as lines of a policy file."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, bool):
            lines.append(f"{name}: {str(value).lower()}\n")
        elif isinstance(value, (str, Trust)):
            lines.append(f"{name}: {value}\n")
        elif name == "rules":
            assert isinstance(value, tuple)
            lines += ["rules:\n", *(f"  {rule}\n" for rule in value)]
        elif name == "operations":
            assert isinstance(value, tuple)
            lines += ["operations:\n", *(f'  "{pattern}": {spec}\n' for pattern, spec in value)]
        elif name == "limited_keys":
            assert isinstance(value, tuple)
            lines.append(f"keys: {', '.join(key.name for key in value)}\n")
        else:
            lines.append(f"{name}: [{', '.join(map(str, value))}]\n")  # type: ignore[call-overload]
    return lines
