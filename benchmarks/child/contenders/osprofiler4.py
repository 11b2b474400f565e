# SPDX-License-Identifier: Apache-2.0
"""Stock osprofiler 4.4.0."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg

import contenders
from contenders import TEXT, calls
from osprofiler import notifier, opts, profiler, web

_KEY = "bench"
_flow: Any = vars(profiler)["__local_ctx"]  # a server's worker is in no trace


class Made(contenders.Contender):
    by_thread = True

    def __init__(self, target: str, service: str) -> None:
        self._delivers = bool(target)
        if target:
            opts.set_defaults(cfg.CONF)
            for group, options in opts.list_opts():
                cfg.CONF.register_opts(options, group)
            notifier.set(notifier.create(target, project=service, service="", host=""))
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

    @profiler.trace("traced")
    def traced(self, n: int, text: str = TEXT) -> None:
        return

    def nested(self, n: int) -> None:
        for number in range(n * 10, n * 10 + 10):
            profiler.start("nested", {"n": number, "text": TEXT})
        for _ in range(10):
            profiler.stop()

    def wsgi(self, n: int) -> None:
        before, _flow.profiler = profiler.get(), None
        contenders.answer(self._app, contenders.environ(n, **self._headers))
        _flow.profiler = before

    def flush(self) -> None:
        if self._delivers:
            from opentelemetry import trace

            trace.get_tracer_provider().force_flush(120_000)

    def requests(self) -> dict[str, Any]:
        return {"app": self._app, "headers": web.get_trace_id_headers}

    def micro(self) -> contenders.Rows:
        off = web.WsgiMiddleware(contenders.hello, _KEY, enabled=False)
        request = contenders.environ(0)
        return {
            **calls.public_calls(profiler, web),
            **calls.raising_calls(profiler, self.root),
            "wsgi off": lambda: contenders.answer(off, request),
            "wsgi no header": lambda: contenders.answer(self._app, request),
            "wsgi bare": lambda: contenders.answer(contenders.hello, request),
        }
