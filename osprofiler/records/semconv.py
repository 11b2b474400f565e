# SPDX-License-Identifier: Apache-2.0
"""Tags of OpenTracing's semantic conventions, made of the keys of info that osprofiler's trace points have always had.

They are for trace points that do not set such tags themselves, such as those in the code of services.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: The limit of a text. Another tag, made of the info, has the whole text.
_CHARS = 1024

Value = str | int | float | bool

#: The keys of info that make tags here. Nearly all trace points have none of them.
SHAPES = frozenset(("request", "requests", "db"))

#: OpenTelemetry's names for tags of our processes.
RESOURCE_NAMES: Mapping[str, str] = {"hostname": "host.name", "pid": "process.pid"}
#: OpenTelemetry's attribute of a link for the kind of an OpenTracing reference.
REF_TYPE = "opentracing.ref_type"


def tags(info: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """The standard tags for the start *info* of a trace point."""
    request = info.get("request")
    if isinstance(request, dict):
        yield "span.kind", "server"
        yield from _text("http.method", request.get("method"))
        yield from _text("http.url", _url(request))
    request = info.get("requests")
    if isinstance(request, dict):
        yield "span.kind", "client"
        yield from _text("http.method", request.get("method"))
        yield from _text("http.url", _url(request))
        yield from _text("peer.hostname", request.get("hostname"))
        port = request.get("port")
        if isinstance(port, int):
            yield "peer.port", port
    database = info.get("db")
    if isinstance(database, dict):
        yield "span.kind", "client"
        yield "db.type", "sql"
        yield from _text("db.statement", database.get("statement"))


def _text(key: str, value: object) -> Iterator[tuple[str, Value]]:
    if isinstance(value, str) and value:
        yield key, value[:_CHARS]


def _url(request: Mapping[str, Any]) -> str:
    """A URL made of its parts; without a hostname only the path and query."""
    path, query, host = (request.get(key) or "" for key in ("path", "query", "hostname"))
    start = ""
    if host:
        port = request.get("port")
        start = f"{request.get('scheme') or 'http'}://{host}{f':{port}' if port else ''}"
    return f"{start}{path}{f'?{query}' if query else ''}"
