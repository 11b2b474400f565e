# SPDX-License-Identifier: Apache-2.0
"""This project."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaeger_client.sampler import ConstSampler

import contenders
from contenders import TEXT, calls, floor
from osprofiler import config, notifier, opentracing_compat, policy, profiler, web
from osprofiler._runtime import guard
from osprofiler.config import point_spec
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.masking import applying
from osprofiler.instrumentation.points.placing import placing
from osprofiler.tracer.rules import ByRule

_KEY = "bench"


class Made(contenders.Contender):
    def __init__(self, target: str, service: str) -> None:
        # A burst of 100,000 spans is to fit; the default, 64 MiB, holds 75,000.
        config.publish(hmac_keys=(_KEY,), queue_bytes=256 << 20)
        if target:
            notifier.set(notifier.create(target, project="", service=service, host=""))
        self._app = web.WsgiMiddleware(contenders.hello, _KEY, enabled=True)
        self._headers: dict[str, str] = {}

    @contextlib.contextmanager
    def root(self) -> Iterator[None]:
        profiler.init(_KEY)
        with profiler.Trace("root"):
            self._headers = {
                f"HTTP_{name.upper().replace('-', '_')}": value for name, value in web.get_trace_id_headers().items()
            }
            yield
        profiler.clean()

    def two_tags(self, n: int) -> None:
        profiler.start("two_tags", {"n": n, "text": TEXT})
        profiler.stop()

    def ten_tags(self, n: int) -> None:
        profiler.start("ten_tags", contenders.ten(n))
        profiler.stop()

    def with_log(self, n: int) -> None:
        profiler.start("with_log", {"n": n, "text": TEXT})
        profiler.annotate("retry", attempt=1)
        profiler.stop()

    @profiler.trace("traced")
    def traced(self, n: int, text: str = TEXT) -> None:
        return

    def nested(self, n: int) -> None:
        for number in range(n * 10, n * 10 + 10):
            profiler.start("nested", {"n": number, "text": TEXT})
        for _ in range(10):
            profiler.stop()

    def wsgi(self, n: int) -> None:
        before = current.point.get()
        current.point.set(None)  # a server's worker is in no trace
        contenders.answer(self._app, contenders.environ(n, **self._headers))
        current.point.set(before)

    def prepare_rpc(self) -> Any:
        from contenders import rpc
        from osprofiler import messaging

        messaging.instrument()
        made = rpc.Rpc()
        self.rpc = made.call
        return made

    def flush(self) -> None:
        if not opentracing_compat.flush(120):
            raise AssertionError(f"not delivered: {dict(guard.counters)}")

    def counts(self) -> dict[str, int]:
        return dict(guard.counters)

    def requests(self) -> dict[str, Any]:
        return {"app": self._app, "headers": web.get_trace_id_headers}

    def micro(self) -> contenders.Rows:
        off = web.WsgiMiddleware(contenders.hello, _KEY, enabled=False)
        request = contenders.environ(0)
        return {
            **calls.public_calls(profiler, web),
            **calls.raising_calls(profiler, self.root),
            "rest annotate": profiler.annotate,
            "rest point": _placed(),
            "rest fork": lambda: profiler.fork("bench"),
            "wsgi off": lambda: contenders.answer(off, request),
            "wsgi no header": lambda: contenders.answer(self._app, request),
            "wsgi bare": lambda: contenders.answer(contenders.hello, request),
            "unsampled": (_start_stop, _unsampled),
            "wsgi sampler's no": (lambda: contenders.answer(self._app, request), _sampler_says_no),
            "headers of a no": (web.get_trace_id_headers, _unsampled),
            "point into nothing": (lambda: self.two_tags(1), self.root),
            "by one rule": _decision_by(1),
            "by 1,000 rules": _decision_by(1000),
            "mask plain info": lambda: _mask({"n": 1, "text": TEXT}),
            "mask a secret": lambda: _mask({"n": 1, "text": f"{TEXT}?token=bench"}),
            "floor": floor.span,
        }


def bare(n: int) -> int:
    """A function that the configuration makes a trace point."""
    return n


def _placed() -> Callable[[], int]:
    placing.follow((point_spec.parse(f"{__name__}:bare"),))
    return lambda: bare(1)


class _Asked:
    """A request as rules see it."""

    method, peer, identity = "GET", "10.3.231.9", None
    fields: Mapping[str, str] = {"x-debug": "y999 please"}

    def __init__(self, path: str) -> None:
        self.path = path


def _decision_by(rules: int) -> Callable[[], object]:
    """The decision on a request, each with another id in its path, that only the last of *rules* matches."""
    text = "".join(
        f"- {{reason: r{n}, method: GET, path: '/v2.1/{{p}}/servers/{{id}}/a{n}', sample: 'const:1', "
        f"network: 10.{n // 256}.{n % 256}.0/24, header: {{X-Debug: 'y{n} *'}}}}\n"
        for n in range(1000 - rules, 1000)
    )
    sampler = ByRule(policy.parse(f"rules:\n{text}").of("bench")["rules"], ConstSampler(False))
    numbers = itertools.count()
    return lambda: sampler.decide(1, "wsgi GET", _Asked(f"/v2.1/p/servers/{next(numbers)}/a999"))


def _mask(info: dict[str, Any]) -> None:
    """What the reporter pays for the secrets of one record, behind the service."""
    applying.record({"name": "bench-start", "info": info})


def _start_stop() -> None:
    profiler.start("bench")
    profiler.stop()


@contextlib.contextmanager
def _unsampled() -> Iterator[None]:
    """Inside a request that the sampler decided against."""
    with scope.entered(Point(None, None, Origin.from_ids(1, 2, flags=0, hmac_key=_KEY))):
        yield


@contextlib.contextmanager
def _sampler_says_no() -> Iterator[None]:
    config.publish(sampler="const:0")
    yield
    config.publish(sampler="")
