# SPDX-License-Identifier: Apache-2.0
"""The part of Elasticsearch's HTTP API that stores and reads records. OpenSearch has the same API."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from osprofiler._runtime import http_status
from osprofiler._runtime.batched import batched_by_size
from osprofiler.connection import options, strings
from osprofiler.connection.access import Access
from osprofiler.connection.secrets import malformed
from osprofiler.drivers import errors, network
from osprofiler.records import deep_json

if TYPE_CHECKING:
    import requests

_PORT = 9200

#: The size of one request; the server's own limit is 100 MB.
_REQUEST_BYTES = 8_000_000

#: With these parameters a missing index is the same as an empty one.
_MISSING_IS_EMPTY = "ignore_unavailable=true&allow_no_indices=true"


class Http:
    """The server of *connection_string*. Raises ValueError, one line without the password, if the string is wrong.

    The methods raise StoreError, and the errors of requests.
    """

    def __init__(self, connection_string: str) -> None:
        from osprofiler.drivers.http_client import HttpClient

        values = strings.options(connection_string, *options.names("elasticsearch"))
        parts, host, port = strings.split(connection_string, _PORT)
        if parts.scheme not in options.ELASTICSEARCH.names:
            raise malformed(connection_string, f"it is none of {', '.join(options.ELASTICSEARCH.names)}")
        place = strings.place(host, port) + parts.path.rstrip("/")
        self._base = f"{options.http_scheme(parts.scheme)}://{place}"
        account = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        access = Access.of(connection_string, values, over_tls=options.uses_tls(parts.scheme))
        self._client = HttpClient(access, account)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # Writing

    def make_index(self, index: str, mapping: Mapping[str, Any], doc_type: str) -> None:
        """Make *index* if it does not exist.

        With the document type *doc_type*, which some readers ask for, if the server still knows document types.
        """
        path = quote(index)
        # 403: an account may have the right to write, but not to look. Then the write shows whether the index exists.
        if self._ask("HEAD", path, expected=(200, 403, 404)).status_code != 404:
            return
        typed = self._ask(
            "PUT", f"{path}?include_type_name=true", {"mappings": {doc_type: mapping}}, expected=(200, 400)
        )
        if typed.status_code == 400 and not _exists(typed):
            untyped = self._ask("PUT", path, {"mappings": mapping}, expected=(200, 400))
            if untyped.status_code == 400 and not _exists(untyped):  # it exists: another process has just made it
                raise errors.StoreError(_status_and_reason(untyped))

    def bulk(self, index: str, documents: Sequence[Mapping[str, Any]]) -> dict[int, int]:
        """Add *documents*. Returns the HTTP statuses of the refused ones, by their place in the list."""
        return self._bulk(
            [f'{{"index":{{}}}}\n{json.dumps(document, default=str, skipkeys=True)}\n' for document in documents], index
        )

    def remove(self, index: str, hits: Collection[Mapping[str, Any]]) -> int:
        """Remove the documents of *hits*. Returns the number of those that existed.

        *index* may be an alias of several indexes. Each hit has its own.
        """
        lines = [json.dumps({"delete": {"_index": hit["_index"], "_id": hit["_id"]}}) + "\n" for hit in hits]
        refused = self._bulk(lines, index, refresh=True)
        self.raise_for({place: status for place, status in refused.items() if status != 404})
        return len(hits) - len(refused)

    def _bulk(self, lines: Sequence[str], index: str, refresh: bool = False) -> dict[int, int]:
        refused: dict[int, int] = {}
        begin = 0
        path = f"{quote(index)}/_bulk{'?refresh=true' if refresh else ''}"
        for batch in batched_by_size(((line, len(line)) for line in lines), len(lines), _REQUEST_BYTES):
            response = self._ask("POST", path, "".join(batch)).json()
            for place, item in enumerate(response.get("items", ()), begin):
                status = int(next(iter(item.values()))["status"])
                if status >= 300:  # for a document that is not there, the response has no "errors"
                    refused[place] = status
            begin += len(batch)
        return refused

    @staticmethod
    def raise_for(refused: Mapping[int, int]) -> None:
        """Raise an error if there are refused documents. *refused*: their HTTP statuses, by place in the batch."""
        statuses = set(refused.values())
        if not statuses:
            return
        text = f"{len(refused)} documents refused, HTTP status {', '.join(map(str, sorted(statuses)))}"
        kinds = {errors.kind_of_status(status) for status in statuses}
        for kind in errors.StoreUnavailable, errors.StoreError:
            if kind in kinds:
                raise kind(text)
        raise errors.RecordsRefused(text, places=sorted(refused))

    # Reading

    def refresh(self, index: str) -> None:
        """Make earlier writes visible to searches. An account that may only read may be refused this."""
        self._ask("POST", f"{quote(index)}/_refresh?{_MISSING_IS_EMPTY}", expected=(200, 401, 403, 404))

    def types(self, index: str, field: str) -> set[str]:
        """The types that *field* has in *index*."""
        path = f"{quote(index)}/_field_caps?fields={quote(field)}&{_MISSING_IS_EMPTY}"
        response = self._ask("GET", path, expected=(200, 404))
        return set(_json(response).get("fields", {}).get(field, {}))

    def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The response to one search."""
        return _json(self._ask("POST", f"{quote(index)}/_search?{_MISSING_IS_EMPTY}", body))

    def scroll(self, index: str, body: Mapping[str, Any], size: int, lifetime: str) -> Iterator[dict[str, Any]]:
        """All hits of a search, *size* per request. The server keeps its state for *lifetime* after each request."""
        # Not with "filter_path": for it the server parses each document, and takes half as long again.
        path = f"{quote(index)}/_search?scroll={quote(lifetime)}&{_MISSING_IS_EMPTY}"
        page = _json(self._ask("POST", path, {**body, "size": size, "track_total_hits": True}))
        left = int(page.get("hits", {}).get("total", {}).get("value", 0))
        while hits := page.get("hits", {}).get("hits"):
            yield from hits
            left -= len(hits)
            if left <= 0:
                break
            page = _json(self._ask("POST", "_search/scroll", {"scroll": lifetime, "scroll_id": page["_scroll_id"]}))
        if "_scroll_id" in page:
            self._ask("DELETE", "_search/scroll", {"scroll_id": page["_scroll_id"]}, expected=(200, 404))

    def _ask(
        self, method: str, path: str, body: Any = None, expected: tuple[int, ...] = (200, 201)
    ) -> requests.Response:
        content_type = "application/x-ndjson" if isinstance(body, str) else "application/json"
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        response = self._client.request(
            method,
            f"{self._base}/{path}",
            network.READ_TIMEOUT_S,
            data=data.encode() if data is not None else None,
            headers={"Content-Type": content_type} if data is not None else None,
            allow_redirects=False,
        )
        if response.status_code not in expected:
            kind = errors.kind_of_status(response.status_code)
            if kind is errors.RecordsRefused and not isinstance(body, str):
                kind = errors.StoreError  # no records were sent
            # The server's reason for a refused document may have a value of the application.
            is_safe = kind is not errors.RecordsRefused
            text = _status_and_reason(response) if is_safe else f"HTTP status {response.status_code}"
            raise kind(text, retry_after_s=http_status.retry_after_s(response))
        return response


def _json(response: requests.Response) -> dict[str, Any]:
    """The JSON in a response; a document in it may be nested deeply. Raises StoreError if it is not JSON."""
    try:
        return dict(deep_json.loads(response.content.decode("utf-8", "replace")))
    except (ValueError, TypeError):
        raise errors.StoreError(f"HTTP status {response.status_code}, and no JSON") from None


def _exists(response: requests.Response) -> bool:
    return "already_exists" in response.text


def _status_and_reason(response: requests.Response) -> str:
    """The status, and the reason if the server gives one."""
    error = network.fault_of(response).get("error")
    return http_status.text(response.status_code, error.get("reason") if isinstance(error, dict) else error)
