# SPDX-License-Identifier: Apache-2.0
"""Where a command's traces come from: a store or a file, by the arguments that all commands share."""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osprofiler import exc
from osprofiler.cmd import cliutils, output, quantities
from osprofiler.cmd.progress import Progress
from osprofiler.connection import secrets
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.drivers import base, lookup, search
from osprofiler.reports import files
from osprofiler.reports.model import Trace

CONNECTION_STRING = "OSPROFILER_CONNECTION_STRING"


class BadInput(exc.CommandError):
    """What the user gave cannot be right, whatever the store holds."""


def store(method: cliutils.F) -> cliutils.F:
    """Decorate a command that uses a store with the arguments that say which."""
    for add in reversed(_STORE):
        method = add(method)
    return method


_STORE: tuple[Callable[[Any], Any], ...] = (
    cliutils.arg(
        "--connection-string",
        dest="conn_str",
        metavar="STORE",
        help=f"where the traces are: redis://..., mongodb://..., elasticsearch://..., jaeger://..., any SQLAlchemy "
        f"URL, ...; default: ${CONNECTION_STRING}, else the embedded store, a SQLite file",
    ),
    cliutils.arg(
        "--transport-url",
        dest="transport_url",
        metavar="URL",
        help="oslo.messaging transport (messaging:// only), e.g. rabbit://user:password@host:5672/",
    ),
    cliutils.arg(
        "--idle-timeout",
        dest="idle_timeout",
        type=int,
        default=1,
        metavar="SECONDS",
        help="how long to wait for more of the trace (messaging:// only)",
    ),
)


def filters(method: cliutils.F) -> cliutils.F:
    """Decorate a command that chooses among the traces of a store."""
    for add in reversed(_FILTERS):
        method = add(method)
    return method


_FILTERS: tuple[Callable[[Any], Any], ...] = (
    cliutils.arg("--service", metavar="NAME", help="only traces with a span of this service (wildcards: *, ?)"),
    cliutils.arg(
        "--operation",
        metavar="NAME",
        help="only traces with a span of this operation, of the service asked for (wildcards: *, ?)",
    ),
    cliutils.arg(
        "--min-duration",
        dest="min_duration_us",
        type=quantities.length_us,
        metavar="LENGTH",
        help="only if that span, or with neither asked for the whole trace, took so long: 250ms, 1.5s",
    ),
    cliutils.arg(
        "--error-trace",
        dest="error_trace",
        nargs="?",
        const=True,
        default=False,
        type=output.truth,
        metavar="yes|no",
        help="only traces in which something failed",
    ),
    cliutils.arg(
        "--http-status",
        dest="http_status",
        type=quantities.http_status,
        metavar="STATUS",
        help="only traces with an HTTP request, of the service and operation asked for, that was answered so: 404, 4xx",
    ),
    cliutils.arg(
        "--since",
        dest="since_us",
        type=quantities.moment_us,
        metavar="TIME",
        help="only traces that began then or later: 2026-11-20, 2026-11-20T21:46 (UTC), or 2h (ago)",
    ),
    cliutils.arg(
        "--until", dest="until_us", type=quantities.moment_us, metavar="TIME", help="only traces that began before"
    ),
    cliutils.arg("--limit", type=quantities.count, metavar="N", help="only the N newest of them"),
)


def wanted(args: argparse.Namespace) -> search.Wanted:
    """What the arguments of :func:`filters` ask for."""
    return search.Wanted(
        args.service,
        args.operation,
        args.min_duration_us,
        bool(args.error_trace),
        args.since_us,
        args.until_us,
        args.limit,
        args.http_status,
    )


def driver(args: argparse.Namespace, given: str | None = None) -> base.Driver:
    """The driver of the store that the arguments, or *given*, name."""
    given = given or args.conn_str or cliutils.env(CONNECTION_STRING) or base.default_connection_string()
    # Which service's traces to look for is not whose records are written.
    options = {key: value for key, value in vars(args).items() if key not in ("func", "service")}
    try:
        _register_options()
        return base.get_driver(given, **options)
    except ValueError as fault:
        raise BadInput(str(fault)) from fault
    except exc.CommandError:
        raise
    except Exception as fault:
        raise exc.CommandError(f"cannot use {secrets.masked(given)}: {typed_fault_line(fault, given)}") from None


def _register_options() -> None:
    """Drivers in the manner of 4.4.0 read their options from the global configuration."""
    from oslo_config import cfg

    from osprofiler import opts

    opts.set_defaults(cfg.CONF)


def name_default(args: argparse.Namespace, used: base.Driver) -> None:
    """Say which store it was, once, unless the user did."""
    if not (args.conn_str or cliutils.env(CONNECTION_STRING) or "default_named" in args):
        args.default_named = True
        print(f"osprofiler: from {used.connection_str}", file=sys.stderr)


def name_empty(args: argparse.Namespace, used: base.Driver) -> None:
    """Say which store has none of the traces that the arguments of :func:`filters` ask for."""
    those = "traces" if wanted(args) == search.Wanted(limit=args.limit) else "traces that match the options"
    args.default_named = True
    print(f"osprofiler: no {those} in {secrets.masked(used.connection_str)}", file=sys.stderr)


def trace(args: argparse.Namespace, given: str) -> Trace:
    """The trace that *given* says: its id, or a file with it. Raises CommandError if there is no such trace."""
    file, _, base_id = given.partition("#")
    if is_file(file):
        return _of_file(Path(file), base_id)
    used = driver(args)

    def read(one: str) -> Trace | None:
        trace = search.read(used, one)
        return trace if trace.spans else None

    with Progress(f"reading trace {given}"):
        found = lookup.find(used, given, read)
    if found is None:
        raise exc.CommandError(
            f"no trace {given.strip()} in {secrets.masked(used.connection_str)}; `osprofiler trace list` shows what "
            "is there. Was the request signed with one of the services' hmac_keys, and do they write to this store?"
        )
    name_default(args, used)
    return found


_FILES = (".json", ".jsonl", ".gz")


def is_file(text: str) -> bool:
    """Whether what stands for a trace is a file's name and not an id."""
    if text.strip().startswith(("http://", "https://")):  # a link to Jaeger's UI
        return False
    try:
        uuid.UUID(text)
    except ValueError:
        file = Path(text)
        return text == "-" or file.is_file() or file.suffix in _FILES or len(file.parts) > 1
    return False


def _of_file(file: Path, base_id: str) -> Trace:
    found = loaded(file)
    if base_id.strip() == lookup.LATEST:
        found = sorted(found, key=lambda trace: trace.start_us)[-1:]
    elif base_id:
        named = lookup.only(base_id, lookup.trace_id(base_id).among(trace.base_id for trace in found))
        found = [trace for trace in found if trace.base_id in named]
    if len(found) > 1:
        raise BadInput(f"{file} holds {len(found)} traces; name one, for instance {file}#{found[0].base_id}")
    if not found or not found[0].spans:
        raise exc.CommandError(f"no trace {base_id} in {file}" if base_id else f"the trace in {file} is empty")
    return found[0]


def loaded(file: Path) -> list[Trace]:
    """The traces in *file*. Raises BadInput where it has none."""
    try:
        with Progress(f"reading {file}"):
            return files.load(file)
    except OSError as fault:
        raise BadInput(f"cannot read {file}: {fault.strerror}") from fault
    except ValueError as fault:
        raise BadInput(f"{file} holds no trace that can be read: {fault}") from fault
