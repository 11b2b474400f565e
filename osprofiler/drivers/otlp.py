# SPDX-License-Identifier: Apache-2.0
"""The driver of an OpenTelemetry Collector, and of other receivers of OTLP over HTTP."""

from __future__ import annotations

import json
from typing import Any

from oslo_config import cfg

from osprofiler.drivers.span_store import SpanStore

_RECEIVED = ("path", "query", "method", "scheme")
_CALLS = {"request": _RECEIVED, "requests": (*_RECEIVED, "hostname", "port")}


class OTLP(SpanStore):
    """``otlp://host[:4318][/path]``, ``otlps://`` with TLS.

    OTLP can only send. If the receiver sends the spans on to Jaeger, ``?query=http://host:16686`` is the address for
    reading.
    """

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        conf: cfg.ConfigOpts = cfg.CONF,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, conf=conf, **kwargs)

    @classmethod
    def get_name(cls) -> str:
        return "otlp"

    @classmethod
    def check(cls, connection_string: str) -> None:
        from osprofiler.delivery import otlp

        super().check(connection_string)
        otlp.check_library()

    def create_span_tags(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The tags that osprofiler 4.4.0 makes of a start record. Now spans have OpenTracing's tags and all of info."""
        info = payload["info"]
        if info.get("db"):
            return {"db.statement": info["db"]["statement"], "db.params": json.dumps(info["db"]["params"], default=str)}
        for kind, fields in _CALLS.items():
            if info.get(kind):
                return {f"http.{field}": info[kind][field] for field in fields}
        function = info.get("function") or {}
        return {field: function[field] for field in ("args", "kwargs", "name") if field in function}
