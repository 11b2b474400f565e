# SPDX-License-Identifier: Apache-2.0
"""``osprofiler demo``: trace the boot of a server through a small cloud (REST, RPC, fork and join, a database)."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from osprofiler.cmd import cliutils
from osprofiler.connection import secrets
from osprofiler.connection.strings import CONNECTION_STRING
from osprofiler.drivers import locate
from osprofiler.drivers.abilities import Unsupported

if TYPE_CHECKING:
    from osprofiler.demo.outcome import Failure
    from osprofiler.reports.model import Trace

_NEEDED = {"oslo_messaging": "oslo.messaging", "sqlalchemy": "SQLAlchemy"}


@cliutils.examples(
    "osprofiler demo",
    "osprofiler demo --fault db",
    "osprofiler demo --model asyncio --html boot.html",
    "osprofiler demo --connection-string jaeger+http://localhost --transport-url rabbit://guest:guest@localhost:5672/",
)
@cliutils.arg(
    "--connection-string",
    metavar="STORE",
    help=f"where to store the trace: jaeger://HOST, jaeger+http://HOST, any SQLAlchemy URL, ...; default: "
    f"${CONNECTION_STRING}, else the SQLite file that `osprofiler trace` reads by default",
)
@cliutils.arg(
    "--transport-url",
    default="fake://",
    metavar="URL",
    help="the message bus, e.g. rabbit://guest:guest@localhost:5672/; each service is then its own process "
    "(default: RPC in memory, within one process)",
)
@cliutils.arg("--db-url", metavar="URL", help="the cloud's database (default: a temporary SQLite file)")
@cliutils.arg(
    "--fault", choices=("image", "db", "compute"), default="", help="break one part; the trace then shows the error"
)
@cliutils.arg(
    "--model",
    choices=("threads", "asyncio", "eventlet"),
    default="threads",
    help="how the services work concurrently (default: threads)",
)
@cliutils.arg(
    "--html",
    metavar="FILE",
    help="where to write the HTML report (default: a new file in the folder of the SQLite file)",
)
@cliutils.arg(
    "--jaeger-ui",
    metavar="URL",
    help="the address of Jaeger's UI (default: port 16686 of the host of --connection-string)",
)
@cliutils.arg("--timeout", type=int, default=60, metavar="SECONDS", help="how long to wait for each step (default: 60)")
def run(args: argparse.Namespace) -> int:
    """Run a small cloud that boots a server, and show its trace.

    Exit status: 0 if the trace is as expected, with the --fault if one is given; 1 if it is not; 2 for bad input.
    """
    missing = [name for module, name in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        return _fail(f"the demo needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    if args.model == "eventlet" and importlib.util.find_spec("eventlet") is None:
        return _fail("--model eventlet needs eventlet: pip install eventlet")
    from osprofiler import exc
    from osprofiler.demo.cloud import DemoError
    from osprofiler.drivers.errors import StoreError

    try:
        return _run(args)
    except ValueError as fault:
        return _fail(str(fault), 2)
    except BrokenPipeError:  # the reader has closed the pipe; the command line handles that
        raise
    except (DemoError, OSError, exc.CommandError, StoreError) as fault:
        return _fail(str(fault))
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(message: str, status: int = 1) -> int:
    Progress.clear()
    print(f"osprofiler demo: {' '.join(message.split())}", file=sys.stderr)
    return status


class Progress:
    """Prints to standard error what the demo waits for: in a terminal on one line that changes, else line by line."""

    @staticmethod
    def say(event: str) -> None:
        tty = sys.stderr.isatty()
        line = f"waiting for {event}"
        print(f"\r\x1b[K{line}" if tty else line, end="" if tty else "\n", file=sys.stderr)
        sys.stderr.flush()

    @staticmethod
    def clear() -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _run(args: argparse.Namespace) -> int:
    from osprofiler.demo import checks, database, outcome
    from osprofiler.demo.cloud import Cloud

    store = args.connection_string or cliutils.env(CONNECTION_STRING) or locate.default_connection_string()
    checks.check_store(store)
    checks.check_bus(args.transport_url)
    cloud = Cloud(
        store,
        transport_url=args.transport_url,
        db_url=args.db_url,
        prepare=functools.partial(checks.create_tables, broken=args.fault == "db"),
        fault=args.fault,
        model=args.model,
        timeout_s=args.timeout,
        say=Progress.say,
    )
    with cloud:
        result = cloud.boot()
    if args.db_url:
        database.remove(args.db_url)
    Progress.clear()
    outcome_text = f"is {result['status']}" if "status" in result else f"was refused: {result['error']}"
    print(f"The server {outcome_text}. Trace {result['base_id']}, in {secrets.masked(store)}")
    if outcome.is_jaeger(store):
        failed = _show_jaeger(args.jaeger_ui or outcome.jaeger_ui(store), result["base_id"], args.html)
    else:
        failed = _show_store(store, result["base_id"], args.html)
    return _judge(args.fault, failed, result.get("status"), args.transport_url.startswith("fake:"))


def _judge(fault: str, failed: list[Failure] | None, status: str | None, in_memory: bool) -> int:
    if not fault:
        if failed:
            return _fail("the trace holds unexpected errors")
        return 0 if status == "ACTIVE" else _fail("the server was not built")
    if failed is None:  # the store cannot be read
        return 0
    if any(failure.is_origin_of(fault, in_memory) for failure in failed):
        return 0
    return _fail(f"the trace does not show the fault {fault}")


def _show_store(store: str, base_id: str, html_file: str | None) -> list[Failure] | None:
    """Show the trace from a record store. Returns the points that failed, None if the store cannot be read."""
    from osprofiler.demo import outcome

    try:
        trace = outcome.read(store, base_id)
    except Unsupported:
        print("This store is written to and not read from here: look at the trace where it arrives.")
        return None
    if not trace.spans:
        raise OSError(f"the trace is not in {secrets.masked(store)}")
    return _show(trace, html_file)


def _show_jaeger(ui: str, base_id: str, html_file: str | None) -> list[Failure] | None:
    """Show the trace from Jaeger, and its link. Returns the points that failed, None if Jaeger cannot be read."""
    from osprofiler.demo import outcome

    Progress.say("the trace to arrive in Jaeger")
    trace = outcome.in_jaeger(ui, base_id)
    Progress.clear()
    link = f"{ui}/trace/{base_id.replace('-', '')}"
    if trace is None:
        print(f"Jaeger's query service does not answer; the trace should be at {link}")
        return None
    if not trace.spans:
        raise OSError(f"the trace has not arrived in Jaeger: {link}")
    failed = _show(trace, html_file)
    print(f"{len(trace.spans)} spans in Jaeger: {link}")
    return failed


def _show(trace: Trace, html_file: str | None) -> list[Failure]:
    """Print *trace* as a tree and write its HTML report. Returns the points that failed."""
    from osprofiler.cmd import output
    from osprofiler.demo import outcome
    from osprofiler.reports.views import html, tree

    output.write(f"{line}\n" for line in tree.lines(trace, output.tree_style()))
    path = Path(html_file) if html_file else _report_folder() / f"demo-{trace.base_id[:8]}.html"
    with path.open("w", encoding="utf-8") as page:
        page.writelines(html.text(trace))
    print(f"HTML report: {path.resolve()}")
    return outcome.failures(trace)


def _report_folder() -> Path:
    """The folder of the embedded store; only its owner can read it."""
    return Path(locate.default_connection_string().removeprefix("sqlite:///")).parent
