# SPDX-License-Identifier: Apache-2.0
"""``osprofiler patch``: apply and revert the patches of other projects that osprofiler ships."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from osprofiler.cmd import cliutils, output
from osprofiler.cmd.commands import BadInput, BaseCommand
from osprofiler.patching import catalog, installed
from osprofiler.patching.errors import NotInstalled, PatchError, UnknownProject
from osprofiler.patching.patcher import Patcher, Verdict

_project = cliutils.arg("project", metavar="PROJECT", help="nova or python-novaclient; `list` shows all")
_path = cliutils.arg(
    "--path",
    metavar="FOLDER",
    help="the folder that contains the package, such as a virtual environment's site-packages; default: where this "
    "Python imports the package from",
)
_dry_run = cliutils.arg("--dry-run", dest="dry_run", action="store_true", help="only print what would be changed")


class PatchCommands(BaseCommand):
    """Patch other projects, so that they propagate and report complete traces."""

    group_name = "patch"

    @cliutils.examples("osprofiler patch list", "osprofiler patch list nova")
    @cliutils.arg("project", metavar="PROJECT", nargs="?", help="list only this project")
    @_path
    def list(self, args: argparse.Namespace) -> None:
        """List the available patches and the installed packages."""
        rows = [
            {
                "project": project.name,
                "releases": ", ".join(project.releases),
                "installed": _installed(project, args.path),
            }
            for project in ([_named(args.project)] if args.project else catalog.projects())
        ]
        output.write(output.table(("project", "releases", "installed"), rows))

    @cliutils.examples(
        "osprofiler patch check nova", "osprofiler patch check nova --path /opt/nova/lib/python3.11/site-packages"
    )
    @_project
    @_path
    def check(self, args: argparse.Namespace) -> int:
        """Check whether the patch fits, is applied, or is partly applied.

        Exit status: 0 if the patch fits or is applied, 1 otherwise.
        """
        patcher = _patcher(args)
        verdict = patcher.verdict()
        print(f"{patcher.project.name} {patcher.release} in {patcher.root}: {verdict.value}")
        if patcher.was_interrupted:
            print("  a run of `osprofiler patch` was interrupted; `apply` completes the patch, `revert` removes it")
        for path, state in patcher.states().items():
            print(f"  {path}: {state.value}")
        return 0 if verdict in (Verdict.FITS, Verdict.APPLIED) else 1

    @cliutils.examples("osprofiler patch apply nova --dry-run", "osprofiler patch apply nova")
    @_project
    @_path
    @_dry_run
    def apply(self, args: argparse.Namespace) -> None:
        """Apply the patch to the installed package: to all of its files, or to none.

        The original files are kept in a folder next to the package. Restart the services afterwards.
        """
        patcher = _patcher(args)
        _run(args, patcher, patcher.apply, "patched", "the patch is already applied")

    @cliutils.examples("osprofiler patch revert nova")
    @_project
    @_path
    @_dry_run
    def revert(self, args: argparse.Namespace) -> None:
        """Remove the patch: put the original files back."""
        patcher = _patcher(args)
        _run(args, patcher, patcher.revert, "put back", "the patch is not applied")


def _run(args: argparse.Namespace, patcher: Patcher, action: Callable[..., list[str]], verb: str, nothing: str) -> None:
    changed = action(dry_run=args.dry_run)
    would = "would be " if args.dry_run else ""
    where = f"{patcher.project.name} {patcher.release} in {patcher.root}"
    print(f"{where}: {len(changed)} files {would}{verb}" if changed else f"{where}: {nothing}")
    for path in changed:
        print(f"  {path}")
    if changed and not args.dry_run:
        print("Restart the services that use this package.")


def _patcher(args: argparse.Namespace) -> Patcher:
    project = _named(args.project)
    return Patcher(project, installed.find(project, args.path))


def _named(name: str) -> catalog.Project:
    try:
        return catalog.project(name)
    except UnknownProject as fault:
        raise BadInput(str(fault)) from fault


def _installed(project: catalog.Project, path: str | None) -> str:
    """The column ``installed`` of `list`: the release, and whether its patch is applied."""
    try:
        package = installed.find(project, path)
        if package.release not in project.releases:
            return f"{package.release}: no patch for this release"
        return f"{package.release}: {Patcher(project, package).verdict().value}"
    except NotInstalled:
        return "not found"
    except PatchError as fault:
        return str(fault)
