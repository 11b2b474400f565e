# SPDX-License-Identifier: Apache-2.0
"""Spans to a Jaeger collector: thrift binary over HTTP, acknowledged by its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osprofiler.opentracing_compat.reporting.encoding import Encoder
from osprofiler.opentracing_compat.reporting.exporter import Outcome, Rejected, Transient, load_http_client
from osprofiler.opentracing_compat.reporting.queue import Entry
from osprofiler.opentracing_compat.reporting.thrift_codec import Binary

if TYPE_CHECKING:
    import requests

PORT = 14268
PATH = "/api/traces?format=jaeger.thrift"

_HEADERS = {"Content-Type": "application/vnd.apache.thrift.binary"}

#: What somebody between us and the collector answers when it is away, or asks for patience.
_AWAY = frozenset((408, 425, 429, 502, 503, 504))


class HttpExporter:
    """Thrift binary to *base* (``http://host:14268``, with ``user:password@`` where the collector wants one)."""

    wants_starts = False
    acknowledged = True
    blocking = False
    max_span_chars: int | None = 1 << 20

    def __init__(self, base: str, target: str) -> None:
        load_http_client()
        self.target = target
        self._url = base + PATH
        self._encoder = Encoder(Binary())
        self._session: requests.Session | None = None
        self._request: requests.PreparedRequest | None = None
        self._surroundings: Mapping[str, Any] = {}

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        self._encoder.set_process(service, tags)

    def export(self, batch: Sequence[Entry], deadline: float) -> Outcome:
        encoded = self._encoder.encode(batch)
        if encoded.spans:
            self._post(self._encoder.message(encoded.spans), deadline)
        return Outcome(len(encoded.spans), encoded.dropped, encoded.merged)

    def after_fork(self) -> None:
        self._session = None
        self._encoder.after_fork()

    def _post(self, body: bytes, deadline: float) -> None:
        import requests

        wait_s = max(deadline - time.monotonic(), 0.05)
        try:
            session, request = self._prepared()
            request.prepare_body(body, None)
            answer = session.send(
                request, timeout=(min(wait_s, 3.0), wait_s), allow_redirects=False, **self._surroundings
            )
        except requests.RequestException as fault:
            raise Transient(type(fault).__name__) from fault
        status = answer.status_code
        if 200 <= status < 300:
            return
        said = f"HTTP status {status}"
        if status in _AWAY:
            raise Transient(said)
        if status >= 500:
            raise Transient(said, unreachable=False)
        if status == 413:
            raise Rejected(said, reason="too_large", divisible=True)
        raise Rejected(said, divisible=status == 400)

    def _prepared(self) -> tuple[requests.Session, requests.PreparedRequest]:
        """The session, and the request without a body. Made once: parsing the URL, reading proxies and certificates
        from the environment and looking for ~/.netrc cost as much as encoding a hundred spans."""
        import requests

        if self._session is None or self._request is None:
            session = requests.Session()
            request = session.prepare_request(requests.Request("POST", self._url, headers=_HEADERS))
            self._surroundings = session.merge_environment_settings(self._url, {}, None, None, None)
            self._session, self._request = session, request
        return self._session, self._request
