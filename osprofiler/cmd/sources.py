# SPDX-License-Identifier: Apache-2.0
"""Read the traces of a command from a store or a file, as its arguments say; and the arguments that commands share."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from contextlib import nullcontext
from pathlib import Path

from osprofiler import exc
from osprofiler.cmd import argument_types, cliutils
from osprofiler.cmd.progress import Progress
from osprofiler.connection import secrets
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.connection.strings import CONNECTION_STRING
from osprofiler.drivers import base, lookup, search
from osprofiler.reports import files
from osprofiler.reports.model import Trace

#: Help of an argument that names one trace; :func:`trace` reads it.
TRACE_HELP = (
    "the id of the trace, the beginning of its id, its 32 digits in Jaeger, a link to it in Jaeger's UI, the short id "
    "that openstackclient prints, or `latest`; or a file with the trace (`-`: standard input), written by --json, "
    "--jaeger-json or `osprofiler trace export`"
)


class BadInput(exc.CommandError):
    """An argument is wrong, whatever the store holds."""


class NoTrace(exc.CommandError):
    """The store of *driver* has none of the traces that the user named *given*."""

    def __init__(self, driver: base.Driver, *given: str) -> None:
        super().__init__(
            f"no trace {', '.join(map(str.strip, given))} in {secrets.masked(driver.connection_str)}; `osprofiler "
            "trace list` lists the traces. Was the request signed with one of the services' hmac_keys, and do they "
            "write to this store?"
        )


def only_one(**options: object) -> None:
    """Raise BadInput if more than one of *options* is given: the values, by the names of the options."""
    if sum(map(bool, options.values())) > 1:
        *some, last = (f"--{name.replace('_', '-')}" for name in options)
        raise BadInput(f"choose one of {', '.join(some)} and {last}")


#: The arguments that choose a store.
store = cliutils.arguments(
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
        help="the transport of oslo.messaging (messaging:// only): rabbit://user:password@host:5672/",
    ),
    cliutils.arg(
        "--idle-timeout",
        dest="idle_timeout",
        type=int,
        default=1,
        metavar="SECONDS",
        help="how long to wait for more records of the trace (messaging:// only; default: 1)",
    ),
)


#: The arguments that choose traces of a store; :func:`wanted` reads them.
filters = cliutils.arguments(
    cliutils.arg("--service", metavar="NAME", help="only traces with a span of this service (wildcards: *, ?)"),
    cliutils.arg(
        "--operation",
        metavar="NAME",
        help="only traces with a span of this operation, in the service of --service if given (wildcards: *, ?)",
    ),
    cliutils.arg(
        "--min-duration",
        dest="min_duration_us",
        type=argument_types.length_us,
        metavar="DURATION",
        help="only traces whose matching span took at least this long: 250ms, 1.5s; without --service and --operation, "
        "the whole trace",
    ),
    cliutils.arg(
        "--error-trace",
        "--error",
        dest="error_trace",
        nargs="?",
        const=True,
        default=False,
        type=argument_types.truth,
        metavar="yes|no",
        help="only traces with an error",
    ),
    cliutils.arg(
        "--http-status",
        dest="http_status",
        type=argument_types.http_status,
        metavar="STATUS",
        help="only traces with an HTTP request that got this status: 404, 4xx; its span must match --service and "
        "--operation",
    ),
    cliutils.arg(
        "--tag",
        dest="tags",
        action="append",
        default=[],
        type=argument_types.tag,
        metavar="NAME=VALUE",
        help="only traces with a span that has this tag: openstack.request_id=req-..., openstack.server_id=UUID; the "
        "span must match --service and --operation; may be given several times (wildcards in VALUE: *, ?)",
    ),
    cliutils.arg(
        "--since",
        dest="since_us",
        type=argument_types.moment_us,
        metavar="TIME",
        help="only traces that began at this time or later: 2026-11-20, 2026-11-20T21:46 (UTC), or 2h (ago)",
    ),
    cliutils.arg(
        "--until",
        dest="until_us",
        type=argument_types.moment_us,
        metavar="TIME",
        help="only traces that began before this time",
    ),
    cliutils.arg("--limit", type=argument_types.count, metavar="N", help="only the N newest of these traces"),
)


def wanted(args: argparse.Namespace) -> search.Wanted:
    """The search that the arguments :data:`filters` describe."""
    return search.Wanted(
        args.service,
        args.operation,
        args.min_duration_us,
        bool(args.error_trace),
        args.since_us,
        args.until_us,
        args.limit,
        args.http_status,
        tuple(args.tags),
    )


def driver(args: argparse.Namespace, given: str | None = None) -> base.Driver:
    """The driver of the store with the connection string *given*, or else that of the arguments.

    Raises CommandError if the store cannot be used, and BadInput if the connection string is wrong.
    """
    given = given or args.conn_str or cliutils.env(CONNECTION_STRING) or base.default_connection_string()
    # --service chooses traces; it must not become the service name of a driver.
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
    """Register our options globally: a driver written for 4.4.0 reads them from the global configuration."""
    from oslo_config import cfg

    from osprofiler import opts

    opts.set_defaults(cfg.CONF)


def name_default(args: argparse.Namespace, used: base.Driver) -> None:
    """Print which store was used, once, if the user did not name it."""
    if not (args.conn_str or cliutils.env(CONNECTION_STRING) or "default_named" in args):
        args.default_named = True
        print(f"osprofiler: from {used.connection_str}", file=sys.stderr)


def name_empty(args: argparse.Namespace, used: base.Driver) -> None:
    """Print that *used* has no trace that matches the arguments :data:`filters`."""
    args.default_named = True
    print(f"osprofiler: {empty(args, secrets.masked(used.connection_str))}", file=sys.stderr)


def empty(args: argparse.Namespace, where: str) -> str:
    """The message that *where* has no trace that matches the arguments :data:`filters`."""
    traces = "traces" if wanted(args) == search.Wanted(limit=args.limit) else "traces that match the options"
    return f"no {traces} in {where}"


def trace(args: argparse.Namespace, given: str) -> Trace:
    """The trace that *given* names, in a form of ``TRACE_HELP``. Raises CommandError if there is no such trace."""
    file, _, base_id = given.partition("#")
    if is_file(file):
        return _of_file(Path(file), base_id)
    used = driver(args)

    def read(base_id: str) -> Trace | None:
        trace = search.read(used, base_id)
        return trace if trace.spans else None

    with Progress(f"reading trace {given}"):
        stored = lookup.find(used, given, read)
    if stored is None:
        raise NoTrace(used, given)
    name_default(args, used)
    return stored


#: How the names of files with traces end.
SUFFIXES = (".json", ".jsonl", ".gz")


def is_file(text: str) -> bool:
    """Whether *text*, which names a trace, is the name of a file and not an id."""
    if text.strip().startswith(("http://", "https://")):  # a link to Jaeger's UI
        return False
    try:
        uuid.UUID(text)
    except ValueError:
        file = Path(text)
        return text == "-" or file.exists() or file.suffix in SUFFIXES or os.sep in text
    return False


def _of_file(file: Path, base_id: str) -> Trace:
    traces = loaded(file)
    if base_id.strip() == lookup.LATEST:
        traces = sorted(traces, key=lambda trace: trace.start_us)[-1:]
    elif base_id:
        matching = lookup.only(base_id, lookup.trace_id(base_id).among(trace.base_id for trace in traces))
        traces = [trace for trace in traces if trace.base_id in matching]
    if len(traces) > 1:
        raise BadInput(f"{file} holds {len(traces)} traces; name one, for instance {file}#{traces[0].base_id}")
    if not traces or not traces[0].spans:
        raise exc.CommandError(f"no trace {base_id} in {file}" if base_id else f"the trace in {file} is empty")
    return traces[0]


def shown(file: str | Path) -> str:
    """The name of *file* in a message."""
    return "standard input" if str(file) == "-" else str(file)


def loaded(file: Path, *, quiet: bool = False, whole: bool = True) -> list[Trace]:
    """The traces in *file*; *quiet*: without a line of progress; *whole*: as in ``files.load``.

    Raises BadInput if the file cannot be read or holds no traces.
    """
    name = shown(file)
    try:
        with nullcontext() if quiet else Progress(f"reading {name}"):
            return files.load(file, whole=whole)
    except OSError as fault:
        raise BadInput(f"cannot read {name}: {fault.strerror}") from fault
    except ValueError as fault:
        raise BadInput(f"{name} holds no readable trace: {fault}") from fault
