# SPDX-License-Identifier: Apache-2.0
"""Find traces in an index of Elasticsearch by the time and the content of their records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osprofiler.drivers import places
from osprofiler.drivers.newest_first import Page, windows

if TYPE_CHECKING:
    from osprofiler.drivers.elasticsearch_http import Http
    from osprofiler.drivers.wanted import Wanted

#: A record of an error: the first is a field of this driver, the second one of an index of osprofiler 4.4.0.
ERROR = "error"
IS_ERROR = {"bool": {"should": [{"term": {ERROR: True}}, {"exists": {"field": "info.etype"}}]}}

#: The length of the newest page in milliseconds. Later pages have at least _PAGE_TRACES traces, if there are so many.
_PAGE_MS = 60_000
_PAGE_TRACES = 500
#: In one response; a page with more traces is divided. The limit of a server is 10,000 in its oldest version.
_MOST_KEYS = 5_000


class Search:
    """The records of *index*. *id_field* is its field with the whole base_id."""

    def __init__(self, http: Http, index: str, id_field: str) -> None:
        self._http = http
        self._index = index
        self._id_field = id_field
        self._suffix = id_field.removeprefix("base_id")  # other texts have a field of the same kind

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        """The traces of the records that may be of a trace that matches *wanted*, by windows of time.

        A server finds the records of a window by its index. To sort records it would read the times of all.
        """
        condition = self._condition(wanted)
        oldest_ms, end_ms = self._times()
        if wanted.since_us is not None:
            oldest_ms = max(oldest_ms, wanted.since_us // 1000)
        # With a condition, the record may be later than the first one of its trace.
        if wanted.until_us is not None and not condition:
            end_ms = min(end_ms, -(-wanted.until_us // 1000))

        def read(begin_ms: int, end_ms: int) -> list[str] | None:
            return self._ids([*condition, _between(begin_ms, end_ms)], divides=end_ms - begin_ms > 1)

        for base_ids, begin_ms in windows(oldest_ms, end_ms, _PAGE_MS, read, _PAGE_TRACES):
            yield Page(base_ids, 1000 * begin_ms - 1)

    def first(
        self, base_ids: Sequence[str], hits: int, fields: list[str]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The id and the first *hits* records of each of the traces *base_ids*, with these *fields*."""
        first = {"top_hits": {"size": hits, "sort": [{"timestamp": {"order": "asc"}}], "_source": fields}}
        by_id = {"terms": {"field": self._id_field, "size": len(base_ids)}, "aggregations": {"first": first}}
        query = {"terms": {self._id_field: base_ids}}
        response = self._http.search(self._index, {"size": 0, "query": query, "aggregations": {"traces": by_id}})
        for bucket in _buckets(response):
            yield bucket["key"], bucket["first"]["hits"]["hits"]

    def services(self) -> Iterator[tuple[str | None, str | None]]:
        """Project and service of each service."""
        fields = {name: {"field": f"{name}{self._suffix}", "missing_bucket": True} for name in ("project", "service")}
        for keys in self._keys(fields, []):
            yield from ((key["project"], key["service"]) for key in keys)

    def _condition(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The conditions for one record of a trace, for which *wanted* may hold."""
        # The record of an error need not be one of the service.
        if wanted.error:
            return [IS_ERROR]
        return [] if wanted.service is None else [self._of_service(wanted.service)]

    def _of_service(self, pattern: str) -> dict[str, Any]:
        project, service = f"project{self._suffix}", f"service{self._suffix}"
        either: list[dict[str, Any]] = [_like(service, pattern)]
        for of_project, of_service in places.pairs(pattern):
            either.append({"bool": {"filter": [_like(project, of_project), _like(service, of_service)]}})
        unnamed = {"bool": {"filter": [_like(project, pattern)], "must_not": [_like(service, "?*")]}}
        return {"bool": {"should": [*either, unnamed]}}

    def _times(self) -> tuple[int, int]:
        """The time of the oldest record, and the next after that of the newest, in milliseconds since the epoch."""
        ends = {"oldest": {"min": {"field": "timestamp"}}, "newest": {"max": {"field": "timestamp"}}}
        found = self._http.search(self._index, {"size": 0, "aggregations": ends}).get("aggregations", {})
        oldest, newest = (found.get(name, {}).get("value") for name in ends)
        return (int(oldest), int(newest) + 1) if oldest is not None and newest is not None else (0, 0)

    def _ids(self, condition: list[dict[str, Any]], divides: bool) -> list[str] | None:
        """The traces of the records that meet *condition*; None if they are too many and the caller *divides* them."""
        base_ids: list[str] = []
        for keys in self._keys({"base_id": {"field": self._id_field}}, condition):
            if divides and len(keys) == _MOST_KEYS:
                return None
            base_ids += (key["base_id"] for key in keys)
        return base_ids

    def _keys(
        self, fields: Mapping[str, dict[str, Any]], condition: list[dict[str, Any]]
    ) -> Iterator[list[dict[str, Any]]]:
        """The values of *fields* in the records that meet *condition*, each combination once; a list for a response."""
        sources = [{name: {"terms": field}} for name, field in fields.items()]
        keys: dict[str, Any] = {"size": _MOST_KEYS, "sources": sources}
        body = {
            "size": 0,
            "query": {"bool": {"filter": condition}},
            "track_total_hits": False,
            "aggregations": {"traces": {"composite": keys}},
        }
        while True:
            page = [bucket["key"] for bucket in _buckets(self._http.search(self._index, body))]
            yield page
            if len(page) < _MOST_KEYS:
                return
            keys["after"] = page[-1]


def _buckets(response: dict[str, Any]) -> list[dict[str, Any]]:
    buckets: list[dict[str, Any]] = response.get("aggregations", {}).get("traces", {}).get("buckets", [])
    return buckets


def _between(begin_ms: int, end_ms: int) -> dict[str, Any]:
    """A condition for a record: at *begin_ms* or later, and before *end_ms*."""
    # Without the format, digits are a year.
    return {"range": {"timestamp": {"gte": begin_ms, "lt": end_ms, "format": "epoch_millis"}}}


def _like(field: str, pattern: str) -> dict[str, Any]:
    """A condition for a record whose *field* matches *pattern*."""
    return {"wildcard": {field: places.loose(pattern).replace("\\", "\\\\")}}
