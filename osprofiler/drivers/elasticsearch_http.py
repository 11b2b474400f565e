# SPDX-License-Identifier: Apache-2.0
"""As much of Elasticsearch's HTTP interface as storing and reading records needs; OpenSearch's is the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from osprofiler._runtime import http_status
from osprofiler.connection import options as known
from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.connection.secrets import malformed
from osprofiler.drivers import errors, network
from osprofiler.records import deep_json

if TYPE_CHECKING:
    import requests

_SCHEMES = {
    "elasticsearch": "http",
    "elasticsearch+http": "http",
    "elasticsearch+https": "https",
    "opensearch": "http",
    "opensearch+http": "http",
    "opensearch+https": "https",
}
_PORT = 9200

#: Of one request; the server's own limit is 100 MB.
_REQUEST_BYTES = 8_000_000

#: Without this a missing index is an error; here it is one that holds nothing.
_MAYBE = "ignore_unavailable=true&allow_no_indices=true"


class Http:
    """The server that *connection_string* names. Raises ValueError, one line without password, if it cannot be one.

    The methods raise StoreError, and what requests raises.
    """

    def __init__(self, connection_string: str) -> None:
        options = strings.options(connection_string, *known.names("elasticsearch"))
        parts, host, port = strings.split(connection_string, _PORT)
        if parts.scheme not in _SCHEMES:
            raise malformed(connection_string, f"it is none of {', '.join(sorted(_SCHEMES))}")
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._base = f"{_SCHEMES[parts.scheme]}://{place}{parts.path.rstrip('/')}"
        self._account = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._access = Access.of(connection_string, options, over_tls=_SCHEMES[parts.scheme] == "https")
        self._session: network.PerProcess[requests.Session] = network.PerProcess(self._connect)

    def _connect(self) -> requests.Session:
        from osprofiler._runtime import http_session

        session = http_session.session()
        session.auth = self._account or self._access.auth
        session.cert = self._access.certificate
        return session

    def close(self) -> None:
        session = self._session.take()
        if session is not None:
            session.close()

    # Writing

    def make_index(self, index: str, mapping: Mapping[str, Any], doc_type: str) -> None:
        """Make *index* unless it is there; with a document type where the server still knows those, for readers that
        ask for it."""
        path = quote(index)
        # Who may only write need not be allowed to look: what is written will tell.
        if self._ask("HEAD", path, expected=(200, 403, 404)).status_code != 404:
            return
        typed = self._ask(
            "PUT", f"{path}?include_type_name=true", {"mappings": {doc_type: mapping}}, expected=(200, 400)
        )
        if typed.status_code == 400 and not _is_there(typed):
            untyped = self._ask("PUT", path, {"mappings": mapping}, expected=(200, 400))
            if untyped.status_code == 400 and not _is_there(untyped):  # there: another process was as quick
                raise errors.StoreError(_said(untyped))

    def bulk(self, index: str, documents: Sequence[Mapping[str, Any]]) -> dict[int, int]:
        """Add *documents*; the HTTP statuses of those that were not taken, by their place in the list."""
        return self._bulk(
            [f'{{"index":{{}}}}\n{json.dumps(document, default=str, skipkeys=True)}\n' for document in documents], index
        )

    def remove(self, index: str, ids: Collection[str]) -> int:
        """Remove the documents with these *ids*; how many there were."""
        refused = self._bulk([f"{json.dumps({'delete': {'_id': one}})}\n" for one in ids], index, refresh=True)
        self.raise_for({place: status for place, status in refused.items() if status != 404})
        return len(ids) - len(refused)

    def _bulk(self, lines: Sequence[str], index: str, refresh: bool = False) -> dict[int, int]:
        refused: dict[int, int] = {}
        begin = 0
        while begin < len(lines):
            end, size = begin, 0
            while end < len(lines) and (end == begin or size + len(lines[end]) <= _REQUEST_BYTES):
                size += len(lines[end])
                end += 1
            path = f"{quote(index)}/_bulk{'?refresh=true' if refresh else ''}"
            answer = self._ask("POST", path, "".join(lines[begin:end])).json()
            if answer.get("errors"):
                for place, item in enumerate(answer["items"], begin):
                    status = int(next(iter(item.values()))["status"])
                    if status >= 300:
                        refused[place] = status
            begin = end
        return refused

    @staticmethod
    def raise_for(refused: Mapping[int, int]) -> None:
        """Raise for documents that were not taken; *refused* has the HTTP status of each by its place in the batch."""
        statuses = set(refused.values())
        if not statuses:
            return
        text = f"{len(refused)} documents not taken, HTTP status {', '.join(map(str, sorted(statuses)))}"
        kinds = {errors.kind_of_status(status) for status in statuses}
        for kind in errors.StoreUnavailable, errors.StoreError:
            if kind in kinds:
                raise kind(text)
        raise errors.RecordsRefused(text, places=sorted(refused))

    # Reading

    def refresh(self, index: str) -> None:
        """Have what was written be found. One who may only read need not be allowed to."""
        self._ask("POST", f"{quote(index)}/_refresh?{_MAYBE}", expected=(200, 401, 403, 404))

    def types(self, index: str, field: str) -> set[str]:
        """The types that *field* has in *index*."""
        answer = self._ask("GET", f"{quote(index)}/_field_caps?fields={quote(field)}&{_MAYBE}", expected=(200, 404))
        return set(_json(answer).get("fields", {}).get(field, {}))

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one search."""
        return _json(self._ask("POST", f"{quote(index)}/_search?{_MAYBE}", body))

    def scroll(self, index: str, body: Mapping[str, Any], size: int, kept: str) -> Iterator[dict[str, Any]]:
        """Every hit of a search, *size* at a time; the server keeps its state for the time *kept* between."""
        path = f"{quote(index)}/_search?scroll={quote(kept)}&{_MAYBE}"
        answer = _json(self._ask("POST", path, {**body, "size": size}))
        while answer["hits"]["hits"]:
            yield from answer["hits"]["hits"]
            again = {"scroll": kept, "scroll_id": answer["_scroll_id"]}
            answer = _json(self._ask("POST", "_search/scroll", again))
        if "_scroll_id" in answer:
            self._ask("DELETE", "_search/scroll", {"scroll_id": answer["_scroll_id"]}, expected=(200, 404))

    def _ask(
        self, method: str, path: str, body: Any = None, expected: tuple[int, ...] = (200, 201)
    ) -> requests.Response:
        from osprofiler._runtime import http_session

        content_type = "application/x-ndjson" if isinstance(body, str) else "application/json"
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        answer = self._session.get().request(
            method,
            f"{self._base}/{path}",
            data=data.encode() if data is not None else None,
            headers={"Content-Type": content_type} if data is not None else None,
            verify=self._access.verify,  # the session's own yields to $REQUESTS_CA_BUNDLE
            timeout=(network.CONNECT_TIMEOUT_S, network.READ_TIMEOUT_S),
            allow_redirects=False,
        )
        if answer.status_code not in expected:
            kind = errors.kind_of_status(answer.status_code)
            if kind is errors.RecordsRefused and not isinstance(body, str):
                kind = errors.StoreError  # no records were sent
            # Of a document that is refused the reason may hold a value.
            text = f"HTTP status {answer.status_code}" if kind is errors.RecordsRefused else _said(answer)
            raise kind(text, retry_after_s=http_session.retry_after_s(answer))
        return answer


def _json(answer: requests.Response) -> dict[str, Any]:
    """What the server says, however deep one of the documents in it is. Raises StoreError where it is no JSON."""
    try:
        return dict(deep_json.loads(answer.content.decode("utf-8", "replace")))
    except (ValueError, TypeError):
        raise errors.StoreError(f"HTTP status {answer.status_code}, and no JSON") from None


def _is_there(answer: requests.Response) -> bool:
    return "already_exists" in answer.text


def _said(answer: requests.Response) -> str:
    """The status and, where the server gives one, the reason."""
    reason = None
    try:
        error = answer.json().get("error")
        reason = error.get("reason") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        pass  # no JSON, or a HEAD
    return http_status.text(answer.status_code, reason)
