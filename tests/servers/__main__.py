# SPDX-License-Identifier: Apache-2.0
"""Run servers until Ctrl-C: ``python3 -m tests.servers jaeger rabbit``."""

import contextlib
import signal
import sys

from tests.servers import SERVERS, Missing, Server, StartFailed


def main(names: list[str]) -> int:
    """Start the servers of these *names*, say where they are, and stop them on SIGINT or SIGTERM."""
    unknown = [name for name in names if name not in SERVERS]
    if unknown or not names:
        print(f"usage: python3 -m tests.servers NAME...   (one or more of {', '.join(SERVERS)})", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as running:
        try:
            for name in names:
                _show(running.enter_context(SERVERS[name]()))
        except (Missing, StartFailed) as fault:
            print(fault, file=sys.stderr)
            return 1
        print("running; Ctrl-C stops", flush=True)
        signal.pause()
    return 0


def _show(server: Server) -> None:
    for key in sorted(key for key in dir(server) if key == "url" or key.endswith("_url")):
        if isinstance(value := getattr(server, key), str):  # not the methods that make a new one
            print(f"{server.name:10} {key:14} {value}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
