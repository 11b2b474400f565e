# SPDX-License-Identifier: Apache-2.0
"""The client: requests a server, traced, and then polls its status, untraced, until it is built or has failed.

The API serves the polling in the same threads as the traced request; the polling must not appear in the trace.
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

_POLL_INTERVAL_S = 0.1


def main(arguments: list[str]) -> int:
    """Print one line of JSON: the ``base_id`` of the trace, and the server's ``status`` or the ``error``."""
    conf = settings.load(arguments)
    view = profiler.init(conf.profiler.hmac_keys)
    result = {"base_id": view.get_base_id()}
    try:
        with profiler.Trace("boot", info={"server": "demo-server", "image": IMAGE}):
            request = {"name": "demo-server", "image": IMAGE, "spawn_ms": conf.demo.spawn_ms}
            server_id = rest.call("POST", f"{conf.demo.api_url}/servers", request).json()["id"]
        profiler.clean()
        result["status"] = _final_status(conf, server_id)
    except requests.RequestException as fault:
        result["error"] = str(fault)
    print(json.dumps(result), flush=True)
    return 0


def _final_status(conf: cfg.ConfigOpts, server_id: str) -> str:
    """The server's status when it is final, or at the deadline."""
    deadline = time.monotonic() + conf.demo.timeout
    while True:
        status = str(rest.call("GET", f"{conf.demo.api_url}/servers/{server_id}").json()["status"])
        if status != "BUILD" or time.monotonic() > deadline:
            return status
        time.sleep(_POLL_INTERVAL_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
