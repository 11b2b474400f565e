# SPDX-License-Identifier: Apache-2.0
"""``make scale``: its processes against one Jaeger, and all of it once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Jaeger, Missing, OpenSearch, free_port
from tests.servers.kafka import Kafka
from tests.waiting import wait_until
from tools.scale import feeding, stored
from tools.scale.roles import Collector

ROOT = Path(__file__).resolve().parents[2]
DAY_US = 86_400_000_000


def test_what_the_processes_make_comes_back_as_it_was_made(jaeger: Jaeger) -> None:
    made = {
        "spans": 120,
        "spans_a_trace": 8,
        "start_us": 1_795_000_000_000_000,
        "end_us": 1_795_000_000_000_000 + DAY_US,
    }
    feeds = feeding.feeds(processes=2, seed=1, **made)
    otlp = jaeger.otlp_url.replace("http://", "otlp://")
    fed = feeding.run(feeds, [jaeger.url, f"{otlp}?query={jaeger.query_url}"])
    trace_ids = [result.trace_ids for result in fed.results]
    assert [len(some) for some in trace_ids] == [feed.traces for feed in feeds] == [8, 7]

    def differences() -> list[str]:
        return stored.sample(jaeger.query_url, feeds, trace_ids, 15)

    wait_until(lambda: not differences(), what="each trace whole")
    others = feeding.feeds(processes=2, seed=2, **made)
    assert len(stored.sample(jaeger.query_url, others, trace_ids, 15)) == 15


def test_a_feed_without_its_collector_is_one_line_and_not_a_hang() -> None:
    feeds = feeding.feeds(spans=20, spans_a_trace=10, processes=1, seed=1, start_us=0, end_us=DAY_US)
    with pytest.raises(feeding.Failed, match="feeding process 1 did not deliver all its spans"):
        feeding.run(feeds, [f"jaeger+http://127.0.0.1:{free_port()}"], flush_s=1.0)


@pytest.mark.slow
def test_all_of_it_and_nothing_is_left(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.scale", "--spans", "2000", "--processes", "2", "--reads", "20"]
    done = subprocess.run(command, cwd=ROOT, env=_own(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 traces, 2,000 spans; 0 stored twice" in done.stdout
    assert "20 traces, each as it was made" in done.stdout
    assert "counts equal" in done.stdout
    assert "verify_checksum" in done.stdout.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_interrupted_it_stops_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "tools.scale", "--spans", "1000000", "--processes", "2"]
    with subprocess.Popen(command, cwd=ROOT, env=_own(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "processes send" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=120) == 128 + signal.SIGINT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_a_collector_has_acknowledged_is_in_kafka(tmp_path: Path) -> None:
    """A collector that is killed at once after it has acknowledged has lost nothing."""
    for needed in Kafka, OpenSearch:
        try:
            needed.check()
        except Missing as fault:
            pytest.skip(str(fault))
    with Kafka("jaeger-spans") as broker, Collector(broker.url) as collector:
        feeds = feeding.feeds(spans=500, spans_a_trace=10, processes=1, seed=1, start_us=0, end_us=DAY_US)
        feeding.run(feeds, [collector.url])
        collector.kill()
        assert broker.topic_bytes > 500 * 20


def _own(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}
