# SPDX-License-Identifier: Apache-2.0
"""Requests that are traced unasked: samplers by text, and Jaeger's remote strategies."""

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from jaeger_client.sampler import AdaptiveSampler, ConstSampler, ProbabilisticSampler, RateLimitingSampler

from osprofiler import profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.tracer import sampling
from osprofiler.tracer.rate_limits import ByOperation, PerSecond
from osprofiler.tracer.sampling import RemoteSampler, sampler_for
from tests.servers.trickle import trickle
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("osprofiler_process")


@pytest.fixture(autouse=True)
def _no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_FIRST_RETRY_S", 0.0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", ConstSampler),
        ("  ", ConstSampler),
        ("const:1", ConstSampler),
        ("const:0", ConstSampler),
        ("probabilistic:0.25", ProbabilisticSampler),
        ("ratelimiting:2.5", PerSecond),
        ("remote:http://127.0.0.1:5778/sampling", RemoteSampler),
    ],
)
def test_samplers_by_text(text: str, kind: type) -> None:
    sampler = sampler_for(text, "service")
    assert type(sampler) is kind
    if kind is ConstSampler:
        assert sampler.is_sampled(1)[0] is (text == "const:1")
    sampler.close()


@pytest.mark.parametrize(
    "text",
    [
        "often",
        "const",
        "const:yes",
        "const:2",
        "ratelimiting:inf",
        "probabilistic:2",
        "probabilistic:-1",
        "probabilistic:nan",
        "ratelimiting:-1",
        "ratelimiting:x",
        "remote:ftp://x",
        "remote:",
        "remote:http://",
        "remote:http://x/?interval=soon",
        "remote:http://x/?interval=nan",
        "remote:http://x/?interval=-1",
    ],
)
def test_other_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="is not a sampler: use ") as refused:
        sampler_for(text, "service")
    assert "\n" not in str(refused.value)


class Strategies:
    """A server of sampling strategies."""

    def __init__(self) -> None:
        self.answer: Any = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = outer.answer if isinstance(outer.answer, bytes) else json.dumps(outer.answer).encode()
                self.send_response(500 if outer.answer == b"fail" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/sampling?interval=0&x=1"


@pytest.fixture
def strategies() -> Iterator[Strategies]:
    served = Strategies()
    yield served
    served.server.shutdown()
    served.server.server_close()
    served.thread.join()


def decided(sampler: Any, operation: str = "op") -> bool:
    # An odd id of all ones is the last to be sampled, so that only a rate of one takes it.
    return bool(sampler.is_sampled((1 << 64) - 1, operation)[0])


def test_the_strategies_of_a_service_are_followed(strategies: Strategies) -> None:
    sampler = sampler_for(f"remote:{strategies.url}", "nova api")
    assert not decided(sampler)  # until there is an answer: one in a thousand

    strategies.answer = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 1.0}}
    wait_until(lambda: decided(sampler), what="everything to be sampled")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(strategies.asked[0]).query)
    assert query == {"service": ["nova api"], "x": ["1"]}

    strategies.answer = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {}}
    wait_until(lambda: not decided(sampler), what="nothing to be sampled")

    strategies.answer = {"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 5}}
    wait_until(lambda: decided(sampler), what="some to be sampled")
    limited = sampler._sampler  # type: ignore[attr-defined]
    assert isinstance(limited, RateLimitingSampler)
    asked = len(strategies.asked)
    wait_until(lambda: decided(sampler) or len(strategies.asked) > asked + 2, what="further answers")
    assert sampler._sampler is limited  # type: ignore[attr-defined]  # or each answer would fill the bucket again

    strategies.answer = {
        "strategyType": "PROBABILISTIC",
        "operationSampling": {
            "defaultSamplingProbability": 0.0,
            "defaultLowerBoundTracesPerSecond": 0.0,
            "perOperationStrategies": [{"operation": "all", "probabilisticSampling": {"samplingRate": 1.0}}],
        },
    }
    wait_until(lambda: isinstance(sampler._sampler, AdaptiveSampler) or decided(sampler, "x") is None)  # type: ignore[attr-defined]
    assert decided(sampler, "all")
    strategies.answer["operationSampling"]["perOperationStrategies"][0]["probabilisticSampling"]["samplingRate"] = 0.0
    wait_until(lambda: not decided(sampler, "all"), what="an update of one operation")
    sampler.close()


@pytest.mark.parametrize(
    "sampler",
    [
        sampler_for("ratelimiting:1000", "service"),
        ByOperation({"defaultSamplingProbability": 0.0, "defaultLowerBoundTracesPerSecond": 1000.0}, 10),
        ByOperation({"perOperationStrategies": [{"operation": "op", "probabilisticSampling": {"samplingRate": 0.0}}],
                     "defaultLowerBoundTracesPerSecond": 1000.0}, 10),
    ],
)  # fmt: skip
def test_a_limit_a_second_goes_on_when_the_clock_is_set_back(sampler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: decided(sampler))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    decided(sampler)  # the first request after it
    wait_until(lambda: decided(sampler), 20)


@pytest.mark.parametrize(
    "answer",
    [
        b"fail",
        b"not json",
        b"[]",
        b"{}",
        b'{"probabilisticSampling": {"samplingRate": "much"}}',
        b'{"rateLimitingSampling": {"maxTracesPerSecond": null}}',
        b'{"operationSampling": {"perOperationStrategies": [5]}}',
        b"x" * (5 << 20),
    ],
    ids=["error", "text", "list", "empty", "rate", "limit", "operation", "huge"],
)
def test_a_bad_answer_changes_nothing(strategies: Strategies, answer: bytes) -> None:
    strategies.answer = {"probabilisticSampling": {"samplingRate": 1.0}}
    sampler = sampler_for(f"remote:{strategies.url}", "service")
    wait_until(lambda: decided(sampler))
    strategies.answer = answer
    asked = len(strategies.asked)
    wait_until(lambda: decided(sampler) and len(strategies.asked) > asked + 3)
    assert decided(sampler)
    sampler.close()


def test_a_server_that_is_not_there_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sampler = sampler_for("remote:http://127.0.0.1:1/sampling?interval=0", "service")

    def counted() -> bool:
        decided(sampler)
        return guard.counters["fault.sampling_unreachable"] > 3

    wait_until(counted)
    sampler.close()
    assert len([record for record in caplog.records if "127.0.0.1:1" in record.getMessage()]) == 1


@pytest.mark.parametrize(
    ("interval_s", "bounds"),
    [
        (0, [(1, 2), (2, 4), (4, 8), (8, 16)]),
        (60, [(60, 120), (120, 240), (240, 480), (300, 600), (300, 600)]),
        (900, [(450, 900), (450, 900)]),
    ],
)
def test_a_server_that_is_away_is_asked_less_and_less_often(
    interval_s: int, bounds: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_FIRST_RETRY_S", 1.0)
    now = 1000.0
    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: now))
    samplers = [sampler_for(f"remote:http://127.0.0.1:1/?interval={interval_s}", "service") for _ in range(50)]
    for low, high in bounds:
        waits = set()
        for sampler in samplers:
            sampler._ask()  # type: ignore[attr-defined]
            waits.add(sampler._due - now)  # type: ignore[attr-defined]
        assert low <= min(waits) < max(waits) <= high
        assert len(waits) == len(samplers), "the processes of a cloud do not come back at once"
    samplers[0].close()
    samplers[0]._ask()  # type: ignore[attr-defined]
    assert samplers[0]._due == float("inf")  # type: ignore[attr-defined]


def test_after_an_answer_the_interval_counts_again(strategies: Strategies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_FIRST_RETRY_S", 1.0)
    sampler: Any = sampler_for(f"remote:{strategies.url}", "service")
    for answer, failures in ((b"fail", 1), (b"[]", 2), ({}, 0), (b"fail", 1)):
        strategies.answer = answer
        with contextlib.suppress(AttributeError):  # of "[]"
            sampler._ask()
        assert sampler._failures == failures
    sampler.close()


def test_the_poll_is_not_traced(strategies: Strategies, monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[Any] = []
    follow = RemoteSampler._follow
    monkeypatch.setattr(RemoteSampler, "_follow", lambda *args: (points.append(current.point.get()), follow(*args)))
    strategies.answer = {"probabilisticSampling": {"samplingRate": 1.0}}
    profiler.init("key")
    sampler = sampler_for(f"remote:{strategies.url}", "service")
    wait_until(lambda: decided(sampler))
    profiler.clean()
    sampler.close()
    assert set(points) == {scope.SUPPRESSED}


def polling_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "osprofiler-sampling"}


def test_nobody_polls_while_a_poll_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_TIMEOUT_S", 0.3)
    with trickle() as server:
        server.part = "headers"
        of_others = polling_threads()  # a poll of an earlier test may not have ended
        sampler = sampler_for(f"remote:{server.url}/sampling?interval=0", "service")

        def polled_often() -> bool:
            decided(sampler)
            assert len(polling_threads() - of_others) <= 1
            return server.trickled >= 3

        deadline = time.monotonic() + 60
        while not polled_often() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert server.trickled >= 3
        sampler.close()


def test_a_forked_child_polls_though_its_parent_does() -> None:
    program = """
import os, sys, time
from osprofiler.tracer.sampling import sampler_for
from tests.servers.trickle import trickle
from tests.waiting import wait_until
with trickle() as server:
    server.part = "headers"
    sampler = sampler_for(f"remote:{server.url}/sampling?interval=0", "service")
    sampler.is_sampled(1)
    wait_until(lambda: server.trickled == 1)
    child = os.fork()
    if not child:
        sampler.is_sampled(1)
        time.sleep(60)
    wait_until(lambda: server.trickled == 2, what="the child's poll")
    os.kill(child, 9)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=120, check=True)
