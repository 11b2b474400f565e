# SPDX-License-Identifier: Apache-2.0
"""Trace points, forks, headers and the middleware in a service's code: mypy reads this file, nothing runs it."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from osprofiler import initializer, messaging, notifier, opentracing_compat, profiler, web
from osprofiler.testing import RecordedSpan, recording

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def work(number: int) -> str:
    profiler.init("key", base_id=None, parent_id=None)
    profiler.start("point", info={"number": number})
    profiler.stop()
    with profiler.Trace("rpc", info={"method": "boot"}) as nothing:
        assert nothing is None
        profiler.annotate("half way", done=number)
    trace = profiler.get()
    profiler.clean()
    return trace.get_base_id() if trace is not None else ""


async def work_later() -> None:
    async with profiler.Trace("later"):
        pass


def branches() -> None:
    with profiler.fork("workers", detached=False) as fork:
        wrapped = fork.wrap(work, "worker")
        told: str = wrapped(1)
        carrier: dict[str, str] = fork.to_carrier("process")
    with profiler.branch(os.environ), profiler.branch(carrier, "name"):
        print(told)


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


app: "WSGIApplication" = web.WsgiMiddleware(application, hmac_keys="key", enabled=True)
headers: dict[str, str] = web.get_trace_id_headers()
serializer = messaging.TracingSerializer()
sent: dict[str, object] = messaging.inject({"user": "me"})
notifier.set(lambda record: print(record["name"]))
flushed: bool = opentracing_compat.flush(5.0)
opentracing_compat.instrument("threading")

with recording(trace=False) as spans:
    span: RecordedSpan = spans.one("rpc")
    error: str | None = span.error
    places: list[tuple[str, str | None]] = spans.tree()

profiler.start()  # type: ignore[call-arg]
profiler.init(hmac_key=None)  # type: ignore[arg-type]
span.name = "other"  # type: ignore[misc]
initializer.init_from_conf("nova.conf", None, "nova", "api", "host")  # type: ignore[arg-type]
