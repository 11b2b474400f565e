# SPDX-License-Identifier: Apache-2.0
"""A service killed in the middle of a request leaves its open points in the store, and they are shown as unfinished."""

import json
import subprocess
import sys
from pathlib import Path

from osprofiler.demo import outcome
from tests.e2e import clouds
from tests.servers import Rabbit
from tests.waiting import wait_until

_A_DAY_MS = 24 * 3600 * 1000


def test_a_killed_compute_leaves_unfinished_points(rabbit: Rabbit, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    base_id = clouds.new_id()

    def unfinished() -> set[tuple[str | None, str]]:
        assert (tmp_path / "traces.db").exists()
        spans = outcome.read(store, base_id).spans.values()
        return {(span.service, span.operation) for span in spans if not span.finished}

    cut_short = {
        ("compute-2", "rpc build"),
        ("compute-2", "osprofiler.demo.compute.spawn"),
        ("compute-2", "compute.define"),
    }
    with clouds.running(store, transport_url=rabbit.url) as cloud:
        caller = clouds.Caller(cloud)
        caller.boot(caller.signed(base_id), spawn_ms=_A_DAY_MS)
        wait_until(lambda: unfinished() == cut_short, what="the points to be open in the store")
        cloud.processes["compute-2"].kill()
        cloud.processes["compute-2"].wait()
    assert unfinished() == cut_short

    def show(*form: str) -> str:
        command = [sys.executable, "-m", "osprofiler.cmd.shell", "trace", "show", base_id, *form]
        done = subprocess.run(
            [*command, "--connection-string", store], stdout=subprocess.PIPE, text=True, check=True, timeout=120
        )
        return done.stdout

    assert show().count("unfinished") >= len(cut_short)
    report = json.loads(show("--json"))
    assert report["info"]["unfinished"] == len(cut_short)
    assert "unfinished" in show("--html")
