# SPDX-License-Identifier: Apache-2.0
"""The client: orders a server, traced, and looks, untraced, until it is there or has failed.

The looking goes through the same threads of the API as the order; none of it may show in the trace.
"""

from __future__ import annotations

import json
import sys
import time

import requests
from oslo_config import cfg

from osprofiler import profiler
from osprofiler.demo import rest, settings
from osprofiler.demo.image import IMAGE

_LOOK_EVERY_S = 0.1


def main(arguments: list[str]) -> int:
    """Print one line of JSON: ``base_id`` of the trace, and the server's ``status``, or the ``error`` met."""
    conf = settings.load(arguments)
    view = profiler.init(conf.profiler.hmac_keys)
    said = {"base_id": view.get_base_id()}
    try:
        with profiler.Trace("boot", info={"server": "demo-server", "image": IMAGE}):
            order = {"name": "demo-server", "image": IMAGE, "spawn_ms": conf.demo.spawn_ms}
            server_id = rest.call("POST", f"{conf.demo.api_url}/servers", order).json()["id"]
        profiler.clean()
        said["status"] = _watch(conf, server_id)
    except requests.RequestException as fault:
        said["error"] = str(fault)
    print(json.dumps(said), flush=True)
    return 0


def _watch(conf: cfg.ConfigOpts, server_id: str) -> str:
    """The server's state once it is final; the last one seen when time is up."""
    deadline = time.monotonic() + conf.demo.timeout
    while True:
        status = str(rest.call("GET", f"{conf.demo.api_url}/servers/{server_id}").json()["status"])
        if status != "BUILD" or time.monotonic() > deadline:
            return status
        time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
