# SPDX-License-Identifier: Apache-2.0
"""``make cloud``: start the cloud, boot servers in it with the trace on, and show the traces."""

import argparse
import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.servers import Jaeger, Missing, StartFailed
from tools.cloud import environment
from tools.cloud.cloud import Cloud, Failed


def main() -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="make cloud", description=__doc__)
    parser.add_argument("--mode", choices=("threading", "eventlet"), default="threading", help="nova's concurrency")
    parser.add_argument("--plain", action="store_true", help="leave nova and novaclient unpatched")
    parser.add_argument("--cli", choices=("nova", "openstack"), default="nova", help="the client that boots")
    parser.add_argument("--boots", type=int, default=1, metavar="N", help="how many servers to boot")
    parser.add_argument("--sql", action="store_true", help="trace each SQL statement too")
    parser.add_argument("--store", metavar="STORE", help="connection string for the traces (default: a Jaeger)")
    parser.add_argument("--out", default=".", metavar="DIR", help="where to write the traces' HTML pages")
    parser.add_argument("--once", action="store_true", help="do not wait for Ctrl-C at the end")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as running:
            return _run(args, running)
    except (Missing, StartFailed, Failed, environment.NotMade) as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _run(args: argparse.Namespace, running: contextlib.ExitStack) -> int:
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)

    programs = running.enter_context(environment.environment(patched=not args.plain))
    jaeger = None if args.store else running.enter_context(Jaeger())
    store = args.store or jaeger.url
    cloud = running.enter_context(Cloud(programs, store, args.mode, say, trace_sqlalchemy=str(args.sql).lower()))
    for number in range(1, args.boots + 1):
        say(f"booting server {number} by `{args.cli}`, traced")
        base_id = cloud.boot(f"server-{number}", args.cli)
        page = Path(args.out) / f"trace-{base_id}.html"
        time.sleep(2)  # what follows the answer takes a moment, and a flush interval
        show = [str(programs / "osprofiler"), "trace", "show", base_id, "--connection-string", store]
        subprocess.run([*show, "--html", "--out", str(page.resolve())], check=True)
        say(f"active. Trace {base_id}: {page}")
        if jaeger is not None:
            say(f"in Jaeger: {jaeger.query_url}/trace/{base_id.replace('-', '')}")
    if not args.once:
        say("the cloud is up; Ctrl-C stops it")
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
