# SPDX-License-Identifier: Apache-2.0
"""The released ``openstack`` command asks for switches in its own trace."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from osprofiler.propagation import signed
from tests import environments, released
from tests.conftest import made

KEY = "the key of all services"


@pytest.mark.slow
def test_a_command_asks_for_switches() -> None:
    """With no change of osc-lib or keystoneauth: one finds ``--os-profile``, the other adds the headers."""
    texts: list[str | None] = []

    class Keystone(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            texts.append(self.headers.get(signed.HEADER))
            link = {"rel": "self", "href": f"http://127.0.0.1:{server.server_port}/v3/"}
            answer = {"projects": [], "links": {}, "version": {"id": "v3.14", "status": "stable", "links": [link]}}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args: Any) -> None:
            pass

    command = made(released.client).with_name("openstack")
    with HTTPServer(("127.0.0.1", 0), Keystone) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_port}/v3"
            done = subprocess.run(
                [command, "--os-auth-type=none", f"--os-endpoint={endpoint}", f"--os-profile={KEY}", "project", "list"],
                env={**os.environ, "PYTHONPATH": str(environments.REPOSITORY), "OS_PROFILE_POINTS": "sql,redis"},
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 0, done.stderr
    contexts = [signed.decode(text, [KEY]) for text in texts if text]
    assert len(contexts) == len(texts) > 1
    assert {(one.context.base_id in done.stderr, one.context.asked) for one in contexts if one} == {
        (True, frozenset(("redis", "sql")))
    }
