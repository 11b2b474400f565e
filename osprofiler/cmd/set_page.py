# SPDX-License-Identifier: Apache-2.0
"""The option that HTML pages of sets share: where the pages of their traces are."""

from __future__ import annotations

import argparse

from osprofiler.cmd import cliutils, sources

LINK = cliutils.arg(
    "--link",
    metavar="URL",
    help="HTML: the address of a trace's page, with {id} for its id, for instance http://jaeger:16686/trace/{id}; "
    "default: the page names the command that shows the trace",
)


def link(args: argparse.Namespace) -> str:
    """The address of :data:`LINK`; "" without one. Raises BadInput."""
    if not args.link:
        return ""
    if not args.link.startswith(("http://", "https://")) or "{id}" not in args.link:
        raise sources.BadInput(f"--link is an address like http://jaeger:16686/trace/{{id}}, not {args.link}")
    return str(args.link)
