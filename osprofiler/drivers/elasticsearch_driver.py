# SPDX-License-Identifier: Apache-2.0
"""The driver of Elasticsearch, 7 and later, and of OpenSearch.

It uses HTTP without Elastic's client libraries: each of these refuses some of the servers. As in osprofiler 4.4.0 a
record is a document of the index ``osprofiler-notifications``: each version reads the other's documents. An index of
this driver has fields only for ids, names and time. In an index of 4.4.0 each key of each ``info`` is a field too, with
the type of its first value. If a record does not fit there, its ``info`` is stored as text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from osprofiler._runtime.batched import batched
from osprofiler.drivers import base, elasticsearch_http, errors, network, places
from osprofiler.drivers.abilities import DELETABLE_RECORDS, Can
from osprofiler.drivers.elasticsearch_search import ERROR, IS_ERROR, Search
from osprofiler.drivers.newest_first import newest_first
from osprofiler.records.error_kind import error_kind
from osprofiler.records.record import MARK, checked, checked_mark, loads_json

#: The field with the info of a record as text, if the index does not take the info itself. It is not in the record.
_INFO_TEXT = "info_text"

# A longer text is stored but not indexed: a term has at most 32,766 bytes of UTF-8.
_KEYWORD = {"type": "keyword", "ignore_above": 8191}
_MAPPING = {
    "dynamic": False,
    "properties": {
        "timestamp": {"type": "date"},
        **dict.fromkeys(("base_id", "trace_id", "parent_id", "name", "project", "service", "host"), _KEYWORD),
        "info": {"type": "object", "enabled": False},
        ERROR: {"type": "boolean"},
    },
}

#: A list shows the earliest of so many first records: the index has times in milliseconds only.
_FIRST = 10
_TRACES = 500  # in one request
_REMOVED = 100  # traces in one request: an id is several words in an index of 4.4.0, and a query has at most 1,024


class ElasticsearchDriver(base.Driver):
    """``elasticsearch://[user:password@]host[:9200]``, ``elasticsearch+https://``; ``opensearch://`` means the same.

    A batch is one ``_bulk`` request. Options after ``?``: ``ca_certs`` (a file), ``verify=no``. Stored traces do not
    expire by themselves.
    """

    can = DELETABLE_RECORDS | {Can.LIST_SERVICES, Can.SEARCH}

    # The largest request of Elasticsearch is 100 MB.
    max_span_chars: ClassVar[int | None] = 2_000_000

    def __init__(
        self,
        connection_str: str,
        index_name: str = "osprofiler-notifications",
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        conf: cfg.ConfigOpts = cfg.CONF,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, conf=conf, **kwargs)
        self.conf = conf
        self.index_name = index_name
        self.index_name_error = "osprofiler-notifications-error"
        self._http = elasticsearch_http.Http(connection_str)

    @classmethod
    def get_name(cls) -> str:
        return "elasticsearch"

    @classmethod
    def check(cls, connection_string: str) -> None:
        elasticsearch_http.Http(connection_string)

    # Writing

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        with errors.writing(self.connection_str):
            self._make_ready()
            refused = self._add([self._document(record) for record in records])
            self._note_failed(records, self.notify_error_trace)
            self._http.raise_for(refused)

    def _add(self, documents: Sequence[dict[str, Any]]) -> dict[int, int]:
        """Add *documents*. Returns the HTTP statuses of the refused ones, by their place."""
        refused = self._http.bulk(self.index_name, documents)
        misfits = [place for place, status in refused.items() if status == 400]
        if misfits:  # their info does not fit the fields of an index of 4.4.0
            again = self._http.bulk(self.index_name, [_as_text(documents[place]) for place in misfits])
            refused = {place: status for place, status in refused.items() if status != 400}
            refused |= {misfits[i]: status for i, status in again.items()}
        return refused

    def notify_error_trace(self, info: dict[str, Any]) -> None:
        """Add the trace of the record *info* to the index of failed traces."""
        mark = {"base_id": info["base_id"], "timestamp": info["timestamp"]}
        self._http.raise_for(self._http.bulk(self.index_name_error, [mark]))

    def _make_ready(self) -> None:
        """Make the index if it does not exist. Each write does so: else the server would make one without our types."""
        self._http.make_index(self.index_name, _MAPPING, network.setting(self.conf, "es_doc_type", "notification"))

    def _document(self, record: dict[str, Any]) -> dict[str, Any]:
        document = self.labelled(record)
        if error_kind(document.get("info")):
            document[ERROR] = True
        return document

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        with self._reading():
            return list(self._read(base_id))

    def _read(self, base_id: str) -> Iterator[dict[str, Any]]:
        hits = self._hits(self.index_name, _of_trace(base_id))
        # The query may also find other traces whose ids have the same words.
        return self._readable((hit for hit in hits if hit["_source"].get("base_id") == base_id), _record, _name)

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """As in the base class. The documents of all these traces come before the first trace is returned."""
        with self._reading():
            hits = self._hits(self.index_name, {"terms": {self._id_field(): list(base_ids)}})
            traces = network.by_trace(hits, lambda hit: hit["_source"])
        for base_id, documents in traces.items():
            yield base_id, list(self._readable(documents, _record, _name))

    def _marks(self, hits: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        return self._readable(hits, _mark, _name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        fields = set(fields or self.default_trace_fields)
        with self._reading():
            return network.listed(self._first_records(sorted(fields | self.default_trace_fields)), fields)

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class, but at most a thousand ids."""
        with self._reading():
            field = self._id_field()
            self._http.refresh(self.index_name)
            query = {"wildcard": {field: f"{_literal(prefix)}*{_literal(suffix)}"}}
            ids = {"ids": {"terms": {"field": field, "size": 1_000}}}
            response = self._http.search(self.index_name, {"size": 0, "query": query, "aggregations": ids})
        buckets = response.get("aggregations", {}).get("ids", {}).get("buckets", ())
        return [bucket["key"] for bucket in buckets]

    def list_error_traces(self) -> list[dict[str, Any]]:
        with self._reading():
            marks = list(self._marks(self._hits(self.index_name, IS_ERROR, sorted(MARK))))
            marks += self._marks(self._hits(self.index_name_error, {"match_all": {}}, sorted(MARK)))
        return network.listed(marks, self.default_trace_fields)

    def list_services(self) -> list[str]:
        with self._reading():
            self._http.refresh(self.index_name)
            return places.shown(Search(self._http, self.index_name, self._id_field()).services())

    def is_exact(self, wanted: base.Wanted) -> bool:
        return super().is_exact(places.without_exact(wanted))

    def candidates(self, wanted: base.Wanted) -> Iterable[dict[str, Any]]:
        """As in the base class. The server applies the conditions for time, error, and service."""
        with self._reading():
            is_dated = "date" in self._http.types(self.index_name, "timestamp")
        # Otherwise it is somebody else's index, or there is none.
        return self._candidates(wanted) if is_dated else super().candidates(wanted)

    def _candidates(self, wanted: base.Wanted) -> Iterator[dict[str, Any]]:
        with self._reading():
            self._http.refresh(self.index_name)
            search = Search(self._http, self.index_name, self._id_field())
            yield from newest_first(search.pages(wanted), lambda base_ids: self._first_marks(search, base_ids))

    def _first_marks(self, search: Search, base_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        for batch in batched(base_ids, _TRACES):
            for base_id, hits in search.first(batch, _FIRST, sorted(MARK)):
                yield from network.listed(self._with_first_readable(self._marks(hits), [base_id]), MARK)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        gone = 0
        with self._reading():
            for batch in map(set, batched(base_ids, _REMOVED)):
                gone += self._remove(self.index_name, batch)
                self._remove(self.index_name_error, batch)
        return gone

    def _remove(self, index: str, base_ids: Collection[str]) -> int:
        # Not by the query itself: in an index of 4.4.0 it may find other traces too.
        hits = self._hits(index, {"bool": {"should": [_of_trace(base_id) for base_id in base_ids]}}, ["base_id"])
        return self._http.remove(index, [hit for hit in hits if str(hit["_source"].get("base_id")) in base_ids])

    def close(self) -> None:
        self._http.close()

    def _reading(self) -> Any:
        return network.reading(self.connection_str, errors.StoreError)

    # Queries

    def _hits(self, index: str, query: dict[str, Any], fields: list[str] | None = None) -> Iterator[dict[str, Any]]:
        self._http.refresh(index)
        body = {"query": query, "sort": ["_doc"], "_source": True if fields is None else fields}
        size = network.setting(self.conf, "es_scroll_size", 10000)
        yield from self._http.scroll(index, body, size, network.setting(self.conf, "es_scroll_time", "2m"))

    def _first_records(self, fields: list[str]) -> Iterator[dict[str, Any]]:
        """The first records of every trace, or the earliest readable record if none of the first can be read."""
        self._http.refresh(self.index_name)
        first = {"top_hits": {"size": _FIRST, "sort": [{"timestamp": {"order": "asc"}}], "_source": fields}}
        # missing_bucket: documents without a trace are read too, and so reported as unreadable.
        id_of = {"terms": {"field": self._id_field(), "missing_bucket": True}}
        by_id = {"size": _TRACES, "sources": [{"base_id": id_of}]}
        while True:
            aggregations = {"traces": {"composite": by_id, "aggregations": {"first": first}}}
            response = self._http.search(self.index_name, {"size": 0, "aggregations": aggregations})
            page = response.get("aggregations", {}).get("traces", {})
            for trace in page.get("buckets", ()):
                marks = self._marks(trace["first"]["hits"]["hits"])
                yield from self._with_first_readable(marks, [trace["key"]["base_id"]])
            if "after_key" not in page:
                return
            by_id["after"] = page["after_key"]

    def _id_field(self) -> str:
        """The field with the whole id of a trace. In an index of 4.4.0 it is a subfield of ``base_id``."""
        return "base_id" if "keyword" in self._http.types(self.index_name, "base_id") else "base_id.keyword"


def _of_trace(base_id: str) -> dict[str, Any]:
    """A query for a trace. In an index of 4.4.0 it matches all ids with the same words: the caller compares the ids."""
    return {"match": {"base_id": {"query": base_id, "operator": "and"}}}


def _literal(text: str) -> str:
    """*text* for a wildcard query that matches only this text."""
    return "".join(f"\\{char}" if char in "*?\\" else char for char in text)


def _as_text(document: Mapping[str, Any]) -> dict[str, Any]:
    """*document* for an index that does not take its info: the info as text."""
    info = document.get("info")
    short = {}
    if isinstance(info, Mapping):
        short = {key: str(info[key]) for key in ("host", "etype") if key in info}
    return {**document, "info": short, _INFO_TEXT: json.dumps(info, default=str, skipkeys=True)}


def _record(hit: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = hit["_source"]
    record.pop(ERROR, None)
    text = record.pop(_INFO_TEXT, None)
    if isinstance(text, str):
        record["info"] = loads_json(text)
    return checked(record)


def _mark(hit: dict[str, Any]) -> dict[str, Any]:
    return checked_mark(hit["_source"])


def _name(hit: dict[str, Any]) -> str:
    return f"document {hit['_id']} of trace {hit['_source'].get('base_id')}"
