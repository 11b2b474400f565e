# SPDX-License-Identifier: Apache-2.0
"""The driver of MongoDB, and of servers with the same protocol.

As in osprofiler 4.4.0 a record is a document of the collection ``profiler``: each version reads the other's documents.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from osprofiler._runtime.batched import batched
from osprofiler.connection import options as known
from osprofiler.connection import strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, errors, mongodb_documents, mongodb_indexes, mongodb_search, network, places
from osprofiler.drivers.abilities import DELETABLE_RECORDS, Can
from osprofiler.drivers.mongodb_documents import ESCAPED, STORED_AT
from osprofiler.drivers.newest_first import newest_first
from osprofiler.records.record import MARK

_OPTIONS = known.names("mongodb")

#: Error codes if the index exists with other options: IndexOptionsConflict, IndexKeySpecsConflict.
_INDEX_DIFFERS = frozenset((85, 86))

#: Error codes that are not about the documents: Unauthorized, AuthenticationFailed, MaxTimeMSExpired,
#: ShutdownInProgress, WriteConflict, PrimarySteppedDown, ExceededTimeLimit, NotWritablePrimary, two for an operation
#: that a change of primary has interrupted, two for a server that is not the primary, OutOfDiskSpace.
_UNAVAILABLE = frozenset((13, 18, 50, 91, 112, 189, 262, 10107, 11600, 11602, 13435, 13436, 14031))

_REMOVED = 500  # traces in one request


class MongoDB(base.Driver):
    """``mongodb://[user:password@]host[:27017][/authdb]``, ``mongodb+srv://``. A batch is one ``insert_many``.

    Options after ``?``: ``ttl`` (the server removes records after this time: ``7d``; it checks once a minute), and
    those of pymongo, such as ``tls=true``.
    """

    can = DELETABLE_RECORDS | {Can.LIST_SERVICES, Can.SEARCH}

    # The limit of a document is 16 MiB: it holds so many characters, each of four bytes and quoted.
    max_span_chars: ClassVar[int | None] = 2_000_000

    def __init__(
        self,
        connection_str: str,
        db_name: str = "osprofiler",
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, **kwargs)
        self.check(connection_str)
        self._db_name = db_name
        self._url, options = strings.take_options(connection_str, _OPTIONS)
        self._ttl_s = strings.seconds(options, "ttl")
        self._client: network.PerProcess[Any] = network.PerProcess(self._connect)
        self._db: Any = None  # set by a subclass

    @classmethod
    def get_name(cls) -> str:
        return "mongodb"

    @classmethod
    def check(cls, connection_string: str) -> None:
        url, options = strings.take_options(connection_string, _OPTIONS)
        strings.seconds(options, "ttl")
        library = _library()
        try:
            if strings.scheme(url) != "mongodb+srv":
                library.uri_parser.parse_uri(url, warn=False)
            elif "?" in url:  # only the options: to parse the rest, pymongo would ask the DNS
                library.uri_parser.split_options(url.partition("?")[2], warn=False)
        except (ValueError, library.errors.PyMongoError) as fault:
            raise malformed(connection_string, fault_line(fault, connection_string)) from None

    @property
    def db(self) -> Any:
        """This process's ``pymongo.database.Database``. A subclass may set another one."""
        return self._client.get()[self._db_name] if self._db is None else self._db

    @db.setter
    def db(self, database: Any) -> None:
        self._db = database

    def _connect(self) -> Any:
        timeouts_ms = {
            "serverSelectionTimeoutMS": int(network.CONNECT_TIMEOUT_S * 1000),
            "connectTimeoutMS": int(network.CONNECT_TIMEOUT_S * 1000),
            "socketTimeoutMS": int(network.ANSWER_TIMEOUT_S * 1000),
        }
        # In pymongo, arguments override the options in the URL.
        options = self._url.partition("?")[2].lower()
        missing = {name: value for name, value in timeouts_ms.items() if f"{name.lower()}=" not in options}
        return _library().MongoClient(self._url, connect=False, **missing)

    # Writing

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        with errors.writing(self.connection_str, _kind):
            self._make_ready()
            refused = self._insert([self._document(record) for record in records])
            self._note_failed(records, self.notify_error_trace)
            if refused:
                raise errors.RecordsRefused(f"{len(refused)} of {len(records)} documents", places=refused)

    def _insert(self, documents: list[dict[str, Any]]) -> list[int]:
        """Insert *documents*. Return the places of those that the server refuses; it has taken all others."""
        try:
            # Unordered: if the server refuses one document, it still stores the others.
            self.db.profiler.insert_many(documents, ordered=False)
        except _library().errors.BulkWriteError as fault:
            refused = fault.details.get("writeErrors") or []
            if not refused or not _UNAVAILABLE.isdisjoint(error.get("code") for error in refused):
                raise
            return sorted({int(error["index"]) for error in refused})
        return []

    def notify_error_trace(self, data: dict[str, Any]) -> None:
        """Add the trace of the record *data* to the collection of failed traces."""
        mark = {"base_id": data["base_id"], "timestamp": data["timestamp"]}
        self.db.profiler_error.replace_one({"base_id": data["base_id"]}, mark, upsert=True)

    def _make_ready(self) -> None:
        """Make the indexes. Each write does so: if somebody drops the collection, its indexes are dropped too."""
        refusal = _library().errors.OperationFailure
        mongodb_indexes.make(self.db.profiler, refusal, masked(self.connection_str))
        if self._ttl_s is None:
            return
        try:
            self.db.profiler.create_index([(STORED_AT, 1)], expireAfterSeconds=self._ttl_s)
        except refusal as fault:
            if fault.code not in _INDEX_DIFFERS:
                raise
            index = {"keyPattern": {STORED_AT: 1}, "expireAfterSeconds": self._ttl_s}
            self.db.command({"collMod": "profiler", "index": index})

    def _document(self, record: dict[str, Any]) -> dict[str, Any]:
        document = mongodb_documents.document(self.labelled(record))
        if self._ttl_s is not None:
            document[STORED_AT] = datetime.datetime.now(datetime.timezone.utc)
        return document

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        with self._reading():
            documents = self.db.profiler.find({"base_id": base_id})
            return list(self._readable(documents, mongodb_documents.record, mongodb_documents.name))

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """As in the base class. The documents of all these traces come before the first trace is returned."""
        with self._reading():
            found = self.db.profiler.find({"base_id": {"$in": list(base_ids)}})
            traces: dict[str, list[dict[str, Any]]] = network.by_trace(found, lambda document: document)
        for base_id, documents in traces.items():
            yield base_id, list(self._readable(documents, mongodb_documents.record, mongodb_documents.name))

    def _marks(self, documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        return self._readable(documents, mongodb_documents.mark, mongodb_documents.name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        fields = set(fields or self.default_trace_fields)
        projection = dict.fromkeys((*fields, *self.default_trace_fields, ESCAPED), 1)
        with self._reading():
            documents = list(self._first_documents(projection))
            base_ids = [document.get("base_id") for document in documents]
            return network.listed(self._with_first_readable(self._marks(documents), base_ids), fields)

    def _first_documents(self, projection: Mapping[str, int]) -> Iterable[dict[str, Any]]:
        """In one request, at least the first document of every trace, and one of the documents without a trace."""
        pipeline: list[dict[str, Any]] = [
            {"$sort": {"base_id": 1, "timestamp": 1}},
            {"$group": {"_id": "$base_id", "first": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$first"}},
            {"$project": projection},
        ]
        return self._aggregated(pipeline, {}, projection)

    def _aggregated(
        self, pipeline: list[dict[str, Any]], query: dict[str, Any], projection: Iterable[str]
    ) -> Iterable[dict[str, Any]]:
        """The results of *pipeline*; from a server that does not know one of its steps, all documents of *query*."""
        documents: Iterable[dict[str, Any]]
        try:
            documents = self.db.profiler.aggregate(pipeline, allowDiskUse=True)
        except _library().errors.OperationFailure:  # FerretDB has no $first and no $min
            documents = self.db.profiler.find(query, dict.fromkeys(projection, 1))
        return documents

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class. For a prefix the server uses its index."""
        parts = [f"^{re.escape(prefix)}", f"{re.escape(suffix)}$"]
        conditions = [{"base_id": {"$regex": part}} for part in parts if len(part) > 1]
        with self._reading():
            base_ids = self.db.profiler.distinct("base_id", {"$and": conditions} if conditions else {})
        return network.matching((base_id for base_id in base_ids if isinstance(base_id, str)), prefix, suffix)

    def list_error_traces(self) -> list[dict[str, Any]]:
        with self._reading():
            projection = dict.fromkeys(self.default_trace_fields, 1)
            marks = list(self._marks(self.db.profiler.find(mongodb_search.IS_ERROR, projection)))
            marks += self._marks(self.db.profiler_error.find({}, projection))
        return network.listed(marks, self.default_trace_fields)

    def list_services(self) -> list[str]:
        with self._reading():
            return places.shown(mongodb_search.services(self.db.profiler))

    def is_exact(self, wanted: base.Wanted) -> bool:
        return super().is_exact(places.without_exact(wanted))

    def candidates(self, wanted: base.Wanted) -> Iterator[dict[str, Any]]:
        """As in the base class. The server applies the conditions for time, error, and service."""
        with self._reading():
            yield from newest_first(mongodb_search.pages(self.db.profiler, wanted), self._first_marks)

    def advice(self) -> str:
        with self._reading():
            missing = mongodb_indexes.missing(self.db.profiler)
        return mongodb_indexes.advice(missing) if missing else ""

    def _first_marks(self, base_ids: list[str]) -> list[dict[str, Any]]:
        if not base_ids:
            return []
        documents = list(self._aggregated(mongodb_search.first_times(base_ids), {"base_id": {"$in": base_ids}}, MARK))
        return network.listed(self._with_first_readable(self._marks(documents), base_ids), MARK)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        gone = 0
        with self._reading():
            for batch in batched(base_ids, _REMOVED):
                part = {"base_id": {"$in": batch}}
                self.db.profiler_error.delete_many(part)
                gone += int(self.db.profiler.delete_many(part).deleted_count)
        return gone

    def close(self) -> None:
        self._client.close()

    def _reading(self) -> Any:
        return network.reading(self.connection_str, _library().errors.PyMongoError)


def _library() -> Any:
    network.library("pymongo.uri_parser", "MongoDB", "pymongo", "mongo")
    return network.library("pymongo", "MongoDB", "pymongo", "mongo")


def _kind(error: Exception) -> errors.Kind:
    """The kind of an *error* of pymongo, for a batch."""
    library = _library()
    if isinstance(error, library.errors.ConnectionFailure):
        return errors.StoreUnavailable
    if isinstance(error, library.errors.OperationFailure):
        details = error.details or {}
        codes = {error.code, *(refusal.get("code") for refusal in details.get("writeErrors") or ())}
        return errors.StoreError if _UNAVAILABLE.isdisjoint(codes) else errors.StoreUnavailable
    # InvalidDocument: the document is too large, or has a type that BSON does not have.
    return errors.RecordsRefused if isinstance(error, library.errors.InvalidDocument) else errors.kind_of(error)
