# SPDX-License-Identifier: Apache-2.0
"""Services that each have a sampler of their own, in processes of their own, over REST and a real RabbitMQ."""

import contextlib
import sqlite3
import subprocess
import sys
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.servers import Rabbit

PROGRAM = Path(__file__).parent / "programs" / "sampled_chain.py"
RATE = 0.2


@pytest.mark.parametrize("requests", [300, pytest.param(5_000, marks=pytest.mark.slow)])
def test_the_first_service_decides_for_all(rabbit: Rabbit, tmp_path: Path, requests: int) -> None:
    """A trace holds all four services; none is a fragment that a service behind the first began."""
    config, store = tmp_path / "service.conf", f"sqlite:///{tmp_path}/traces.db"
    config.write_text(
        f"[profiler]\nenabled = true\nhmac_keys = KEY\nconnection_string = {store}\nsampler = probabilistic:{RATE}\n"
        "trace_requests = true\ninstrument = messaging\n"
    )
    workers, conductors = f"workers-{uuid.uuid4().hex}", f"conductors-{uuid.uuid4().hex}"
    with contextlib.ExitStack() as running:

        def start(role: str, topic: str, following: str) -> str:
            command = [sys.executable, str(PROGRAM), role, str(config), rabbit.url, topic, following]
            service = running.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert service.stdin is not None
            assert service.stdout is not None
            running.callback(service.stdin.close)
            return service.stdout.readline().strip()

        assert start("worker", workers, "") == "serving"
        assert start("conductor", conductors, workers) == "serving"
        middle = start("middle", "", conductors)
        api = start("api", "", f"http://127.0.0.1:{middle}/")
        for _ in range(requests):
            with urllib.request.urlopen(f"http://127.0.0.1:{api}/", timeout=60) as answer:
                assert answer.read() == b"done"
    services: dict[str, set[str]] = {}
    with contextlib.closing(sqlite3.connect(tmp_path / "traces.db")) as database:  # a report of each takes minutes
        for base_id, service in database.execute("SELECT DISTINCT base_id, service FROM data"):
            services.setdefault(base_id, set()).add(service)
    kinds = Counter(tuple(sorted(each)) for each in services.values())
    assert set(kinds) == {("api", "conductor", "middle", "worker")}
    expected, deviation = requests * RATE, (requests * RATE * (1 - RATE)) ** 0.5
    deviations = (kinds.total() - expected) / deviation
    print(f"{kinds.total()} whole traces of {requests} requests, {deviations:+.2f} standard deviations")
    assert abs(deviations) < 6  # chance fails this once in a billion runs
