# SPDX-License-Identifier: Apache-2.0
"""The commands: each public method of a group is one; its docstring is its help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osprofiler import exc
from osprofiler.cmd import cliutils, output
from osprofiler.drivers import base, locate
from osprofiler.reports import deep_json, dot, html, json_report, model, tree

CONNECTION_STRING = "OSPROFILER_CONNECTION_STRING"


class BadInput(exc.CommandError):
    """What the user gave cannot be right, whatever the store holds."""


class BaseCommand:
    """A group of commands; every subclass with a ``group_name`` is one, also those of other packages."""

    group_name: str | None = None


_connection_string = cliutils.arg(
    "--connection-string",
    dest="conn_str",
    metavar="STORE",
    help=f"where the traces are: any SQLAlchemy URL, ...; default: ${CONNECTION_STRING}, "
    "else the embedded store, a SQLite file",
)


class TraceCommands(BaseCommand):
    """What can be done with stored traces."""

    group_name = "trace"

    @cliutils.examples(
        "osprofiler trace list",
        "osprofiler trace list --connection-string mysql+pymysql://osprofiler:secret@db/osprofiler",
        "osprofiler trace list --error-trace",
    )
    @_connection_string
    @cliutils.arg(
        "--error-trace",
        dest="error_trace",
        nargs="?",
        const=True,
        default=False,
        type=output.truth,
        metavar="yes|no",
        help="only traces in which something failed",
    )
    def list(self, args: argparse.Namespace) -> None:
        """List the traces in a store."""
        driver = _driver(args)
        traces = driver.list_error_traces() if args.error_trace else driver.list_traces({"base_id", "timestamp"})
        output.write(output.table(("base_id", "timestamp"), traces))
        _name_default(args, driver)

    @cliutils.examples(
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace show 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --html --out trace.html",
        "osprofiler trace show trace.json --dot",
    )
    @cliutils.arg("trace", help="the trace's id, or a file with a trace as --json writes it")
    @_connection_string
    @cliutils.arg(
        "--transport-url",
        dest="transport_url",
        metavar="URL",
        help="oslo.messaging transport (messaging:// only), e.g. rabbit://user:password@host:5672/",
    )
    @cliutils.arg(
        "--idle-timeout",
        dest="idle_timeout",
        type=int,
        default=1,
        metavar="SECONDS",
        help="how long to wait for more of the trace (messaging:// only)",
    )
    @cliutils.arg("--json", dest="use_json", action="store_true", help="as JSON")
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
    @cliutils.arg("--out", dest="file_name", metavar="FILE", help="write into FILE instead of the terminal")
    def show(self, args: argparse.Namespace) -> None:
        """Show a trace: as a tree in the terminal, or as JSON, HTML or DOT."""
        if args.use_json + args.use_html + args.use_dot > 1:
            raise BadInput("choose one of --json, --html and --dot")
        report, trace, driver = _trace(args)
        if args.render_dot_filename:
            drawn = dot.render(trace, Path(args.render_dot_filename))
            print(f"osprofiler: drawn into {drawn}", file=sys.stderr)
        pieces = _written(args, report, trace)
        if pieces is not None:
            output.write(pieces, args.file_name)
        if driver is not None:
            _name_default(args, driver)


def _written(args: argparse.Namespace, report: dict[str, Any] | None, trace: model.Trace) -> Iterator[str] | None:
    """The trace in the form that was asked for; None where that was a drawing only."""
    if args.use_json:
        return json_report.text(report or json_report.report(trace))
    if args.use_html:
        return html.text(trace)
    if args.use_dot:
        return dot.text(trace)
    if args.render_dot_filename:
        return None
    style = tree.Style() if args.file_name else output.tree_style()
    return (f"{line}\n" for line in tree.lines(trace, style))


def _driver(args: argparse.Namespace) -> base.Driver:
    given = args.conn_str or cliutils.env(CONNECTION_STRING)
    if not given:
        try:
            given = base.default_connection_string()
        except OSError as fault:
            raise exc.CommandError(f"the embedded store cannot be used, name another one: {fault}") from fault
    options = {key: value for key, value in vars(args).items() if key != "func"}
    try:
        _register_options()
        return base.get_driver(given, **options)
    except ValueError as fault:
        raise BadInput(str(fault)) from fault
    except exc.CommandError:
        raise
    except Exception as fault:
        raise exc.CommandError(f"cannot use {locate.masked(given)}: {output.first_line(fault)}") from fault


def _register_options() -> None:
    """Drivers in the manner of 4.4.0 read their options from the global configuration."""
    from oslo_config import cfg

    from osprofiler import opts

    opts.set_defaults(cfg.CONF)


def _name_default(args: argparse.Namespace, driver: base.Driver) -> None:
    """Say which store it was, unless the user did."""
    if not (args.conn_str or cliutils.env(CONNECTION_STRING)):
        print(f"osprofiler: from {driver.connection_str}", file=sys.stderr)


def _trace(args: argparse.Namespace) -> tuple[dict[str, Any] | None, model.Trace, base.Driver | None]:
    """The trace; before it the report, where that is what was given; after it the driver, where it is of a store.

    Raises CommandError if there is no such trace.
    """
    file = Path(args.trace)
    if not _is_uuid(args.trace) and (file.is_file() or file.suffix == ".json" or len(file.parts) > 1):
        report, trace = _file(file)
        if not trace.spans:
            raise exc.CommandError(f"the trace in {file} is empty")
        return report, trace, None
    driver = _driver(args)
    given: dict[str, Any] | None = None
    if type(driver).read is not base.Driver.read:
        trace = model.from_records(driver.read(args.trace))
    else:
        given = driver.get_report(args.trace)
        trace = model.from_report(given) if given and given.get("children") else model.Trace(args.trace)
    if not trace.spans:
        raise exc.CommandError(
            f"no trace {args.trace} in {locate.masked(driver.connection_str)}; `osprofiler trace list` shows what is "
            "there. Was the request signed with one of the services' hmac_keys, and do they write to this store?"
        )
    return given, trace, driver


def _file(file: Path) -> tuple[dict[str, Any], model.Trace]:
    try:
        found = deep_json.loads(file.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
        return found, model.from_report(found)
    except OSError as fault:
        raise BadInput(f"cannot read {file}: {fault.strerror}") from fault
    except ValueError as fault:
        raise BadInput(f"{file} is no trace as `osprofiler trace show --json` writes it: {fault}") from fault


def _is_uuid(text: str) -> bool:
    import uuid

    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
