# SPDX-License-Identifier: Apache-2.0
"""``make cloud``: start the cloud, boot servers in it with tracing on, and show the traces."""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tests import environments
from tests.servers import Jaeger, Missing, StartFailed
from tools.cloud import environment
from tools.cloud.cloud import Cloud, Failed

Say = Callable[[str], None]


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make cloud", description=__doc__)
    parser.add_argument(
        "--mode", choices=("threading", "eventlet"), default="threading", help="nova's concurrency (default: threading)"
    )
    parser.add_argument("--plain", action="store_true", help="leave nova and novaclient unpatched")
    parser.add_argument(
        "--cli", choices=("nova", "openstack"), default="nova", help="the client that boots the servers"
    )
    parser.add_argument("--boots", type=_count, default=1, metavar="N", help="how many servers to boot")
    parser.add_argument("--sql", action="store_true", help="trace each SQL statement too")
    parser.add_argument(
        "--store", type=_store, metavar="STORE", help="connection string for the traces (default: a Jaeger)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="the folder for the HTML reports of the traces"
    )
    parser.add_argument("--once", action="store_true", help="stop at the end, without waiting for Ctrl-C")
    args = parser.parse_args()
    if not args.out.is_dir():
        parser.error(f"no such folder: {args.out}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)

    try:
        with contextlib.ExitStack() as running:
            _run(args, running, say)
    except (Missing, StartFailed, Failed, environments.NotMade, TimeoutError) as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _run(args: argparse.Namespace, running: contextlib.ExitStack, say: Say) -> None:
    programs = running.enter_context(environment.environment(patched=not args.plain))
    if args.store and not _is_file(args.store):
        environment.check_store(programs, args.store)  # before the servers are started
    jaeger = None if args.store else running.enter_context(Jaeger())
    store = args.store or jaeger.url
    running.callback(say, "stopped")
    cloud = running.enter_context(Cloud(programs, store, args.mode, say, trace_sqlalchemy=str(args.sql).lower()))
    for number in range(1, args.boots + 1):
        say(f"booting server {number} by `{args.cli}`, traced")
        base_id = cloud.boot(f"server-{number}", args.cli)
        page = args.out.resolve() / f"trace-{base_id}.html"
        _wait_until_whole(cloud, base_id, store)
        cloud.run("osprofiler", "trace", "show", base_id, "--connection-string", store, "--html", "--out", page)
        say(f"active. Trace {base_id}: {page}")
        if jaeger is not None and not args.once:
            say(f"in Jaeger: {_address(jaeger, base_id.replace('-', ''))}")
    if not args.once:
        say("the cloud is up; Ctrl-C stops it")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _address(jaeger: Jaeger, trace_id: str) -> str:
    """The URL of the trace in *jaeger*, while that runs."""
    if jaeger.has_ui:
        return f"{jaeger.query_url}/trace/{trace_id}"
    how = "this Jaeger has no UI; set JAEGER_BIN to one that has, or JAEGER_UI to the folder of a UI's files"
    return f"{jaeger.query_url}/api/traces/{trace_id} ({how})"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of servers")
    return int(text)


def _is_file(store: str) -> bool:
    return store.startswith("sqlite:")  # the first service with a span makes the file


def _store(text: str) -> str:
    if _is_file(text):
        file = Path(urlsplit(text).path.removeprefix("/"))
        if not file.is_absolute() or not file.parent.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} needs an absolute path of a file, in an existing folder")
    return text


def _wait_until_whole(cloud: Cloud, base_id: str, store: str) -> None:
    """Wait until two reads of the trace are equal: work after the answer, and its delivery, take some time."""

    def read() -> str:
        return cloud.run("osprofiler", "trace", "show", base_id, "--connection-string", store, "--json")

    before = read()
    while (now := read()) != before:
        before = now


if __name__ == "__main__":
    sys.exit(main())
