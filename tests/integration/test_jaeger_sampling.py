# SPDX-License-Identifier: Apache-2.0
"""Who is traced is decided by a real Jaeger: its adaptive sampling, and its tail sampling by the documented file."""

import contextlib
import subprocess
import sys
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import own
from tests.servers import Jaeger
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "programs" / "sampled_service.py"


@contextlib.contextmanager
def service(store: str, sampler: str, name: str) -> Iterator[Callable[[int, str], int]]:
    """A service; the function makes it serve requests, and returns how many it has traced in all."""
    command = [sys.executable, str(PROGRAM), store, sampler, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdin is not None
        assert running.stdout is not None

        def serve(count: int, path: str) -> int:
            print(count, path, file=running.stdin, flush=True)
            return int(running.stdout.readline())

        yield serve
        running.communicate()
    assert running.returncode == 0


class Adaptive(Jaeger):
    """A Jaeger that computes a rate for each operation from the traces that it gets: one a second of each.

    The collector that computes the rates does not serve them (Jaeger 1.76, ``adaptive/provider.go``); another one does,
    or the same one after a restart. So the rates are in Badger.
    """

    def _configuration(self) -> dict[str, Any]:
        made = super()._configuration()
        folders = {"keys": str(self.data / "keys"), "values": str(self.data / "values")}
        made["extensions"]["jaeger_storage"]["backends"]["rates"] = {
            "badger": {"directories": folders, "ephemeral": False, "consistency": True}
        }
        sampling = made["extensions"]["remote_sampling"]
        del sampling["file"]
        sampling["adaptive"] = {
            "sampling_store": "rates",
            "initial_sampling_probability": 1.0,
            "target_samples_per_second": 1,
            "calculation_interval": "1s",
            "calculation_delay": "1s",
            "aggregation_buckets": 2,
        }
        made["processors"] = {"adaptive_sampling": {}}
        made["service"]["pipelines"]["traces"]["processors"] = ["adaptive_sampling"]
        return made


@pytest.mark.slow
def test_adaptive_sampling_lowers_the_rate_of_a_busy_operation() -> None:
    with own(Adaptive) as jaeger:
        sampler = f"remote:{jaeger.sampling_url}?interval=0.05"
        with service(jaeger.url, sampler, "adaptive") as serve:

            def rate() -> float:
                for _ in range(10):
                    serve(100, "/busy")
                jaeger.restart()
                strategies = jaeger.sampling("nova-adaptive")["operationSampling"].get("perOperationStrategies") or []
                rates = {each["operation"]: each["probabilisticSampling"]["samplingRate"] for each in strategies}
                return float(rates.get("wsgi GET", 1.0))

            wait_until(lambda: rate() < 0.5, what="a lower rate of wsgi GET")

        with service(jaeger.url, sampler, "adaptive") as serve:
            traced = 0

            def some_are_left_out() -> bool:
                nonlocal traced
                before, traced = traced, serve(100, "/busy")
                return traced > 0 and traced - before < 80

            wait_until(some_are_left_out, what="the service to follow the rate")


class Tail(Jaeger):
    """A Jaeger with the configuration of the documentation, on free ports, that decides soon and keeps no others."""

    def _configuration(self) -> dict[str, Any]:
        ours = super()._configuration()
        made = yaml.safe_load((ROOT / "doc" / "source" / "jaeger-tail-sampling.yaml").read_text())
        for name in ("otlp", "jaeger"):
            protocols, documented = ours["receivers"][name]["protocols"], made["receivers"][name]["protocols"]
            assert protocols.keys() == documented.keys()
            made["receivers"][name]["protocols"] = protocols
        for name in ("http", "grpc"):
            made["extensions"]["jaeger_query"][name] = ours["extensions"]["jaeger_query"][name]
        made["extensions"]["healthcheckv2"] = ours["extensions"]["healthcheckv2"]
        made["service"]["extensions"].append("healthcheckv2")
        made["service"]["telemetry"] = ours["service"]["telemetry"]
        tail = made["processors"]["tail_sampling"]
        tail["decision_wait"] = "1s"
        policies = {policy["name"]: policy for policy in tail["policies"]}
        policies["slow"]["latency"]["threshold_ms"] = 250
        policies["others"]["probabilistic"]["sampling_percentage"] = 0
        return dict(made)


def test_tail_sampling_keeps_errors_slow_ones_and_those_of_a_url() -> None:
    with own(Tail) as jaeger:
        wanted = {"/fail": 5, "/slow": 2, "/v2.1/servers": 6}
        with service(jaeger.url, "const:1", "tail") as serve:
            for path, count in (*wanted.items(), ("/fine", 60)):
                traced = serve(count, path)
        assert traced == 73

        def kept() -> Counter[str]:
            """How many traces of each path are there."""
            spans = [span for trace in jaeger.traces("nova-tail") for span in trace["spans"]]
            urls = [str(tag["value"]) for span in spans for tag in span["tags"] if tag["key"] == "http.url"]
            return Counter(urllib.parse.urlsplit(url).path for url in urls)

        wait_until(lambda: sum(kept().values()) >= 13, what="the interesting traces")
        assert kept() == Counter(wanted)
