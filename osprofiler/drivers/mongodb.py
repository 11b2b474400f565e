# SPDX-License-Identifier: Apache-2.0
"""Traces in MongoDB, or in what speaks its protocol.

As in osprofiler 4.4.0 a record is a document of the collection ``profiler``; either reads what the other wrote.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from osprofiler.connection import options as known
from osprofiler.connection import strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, errors, mongodb_documents, network
from osprofiler.drivers.abilities import Can
from osprofiler.drivers.mongodb_documents import ERROR, ESCAPED, STORED_AT
from osprofiler.records import unreadable
from osprofiler.reports.model import error_kind

_OPTIONS = known.names("mongodb")

#: What a server answers that has the index, with other options: IndexOptionsConflict, IndexKeySpecsConflict.
_OTHERWISE = frozenset((85, 86))

#: Codes of answers that are not about the documents: Unauthorized, AuthenticationFailed, MaxTimeMSExpired,
#: ShutdownInProgress, WriteConflict, PrimarySteppedDown, ExceededTimeLimit, NotWritablePrimary, two of an operation
#: that a change of primary interrupted, two of a server that is not the primary, OutOfDiskSpace.
_UNAVAILABLE = frozenset((13, 18, 50, 91, 112, 189, 262, 10107, 11600, 11602, 13435, 13436, 14031))

_AT_ONCE = 500  # traces that one request removes


class MongoDB(base.Driver):
    """``mongodb://[user:password@]host[:27017][/authdb]``, ``mongodb+srv://``. A batch is one ``insert_many``.

    Options after ``?``: ``ttl`` (records are forgotten after this time: ``7d``; the server looks once a minute), and
    those of pymongo, such as ``tls=true``.
    """

    can = frozenset(
        {Can.WRITE, Can.WRITE_BATCH, Can.READ, Can.READ_RECORDS, Can.LIST, Can.LIST_ERRORS, Can.DELETE, Can.PURGE}
    )

    # A document of 16 MiB holds it, each character of four bytes and quoted.
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
        self._given: Any = None  # a subclass's database

    @classmethod
    def get_name(cls) -> str:
        return "mongodb"

    @classmethod
    def check(cls, connection_string: str) -> None:
        url, options = strings.take_options(connection_string, _OPTIONS)
        strings.seconds(options, "ttl")
        library = _library()
        try:
            if url.partition("://")[0].lower() != "mongodb+srv":
                library.uri_parser.parse_uri(url, warn=False)
            elif "?" in url:  # to read more of it means to ask the DNS
                library.uri_parser.split_options(url.partition("?")[2], warn=False)
        except (ValueError, library.errors.PyMongoError) as fault:
            raise malformed(connection_string, fault_line(fault, connection_string)) from None

    @property
    def db(self) -> Any:
        """This process's ``pymongo.database.Database``; a subclass may set another."""
        return self._client.get()[self._db_name] if self._given is None else self._given

    @db.setter
    def db(self, database: Any) -> None:
        self._given = database

    def _connect(self) -> Any:
        waits_ms = {
            "serverSelectionTimeoutMS": int(network.CONNECT_TIMEOUT_S * 1000),
            "connectTimeoutMS": int(network.CONNECT_TIMEOUT_S * 1000),
            "socketTimeoutMS": int(network.ANSWER_TIMEOUT_S * 1000),
        }
        # pymongo would have these go before what the URL says.
        given = self._url.partition("?")[2].lower()
        missing = {name: value for name, value in waits_ms.items() if f"{name.lower()}=" not in given}
        return _library().MongoClient(self._url, connect=False, **missing)

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        with errors.writing(self.connection_str, _kind):
            self._make_ready()
            self._insert([self._document(record) for record in records])
            if self.filter_error_trace:
                # For readers older than this driver; it finds them in the records.
                for record in records:
                    if error_kind(record.get("info")):
                        self.notify_error_trace(record)

    def _insert(self, documents: list[dict[str, Any]]) -> None:
        try:
            # Unordered: one that the server refuses keeps no other from being stored.
            self.db.profiler.insert_many(documents, ordered=False)
        except _library().errors.BulkWriteError as fault:
            refused = fault.details.get("writeErrors") or []
            if not refused or not _UNAVAILABLE.isdisjoint(each.get("code") for each in refused):
                raise
            places = sorted({int(each["index"]) for each in refused})
            raise errors.RecordsRefused(f"{len(places)} of {len(documents)} documents", places=places) from fault

    def notify_error_trace(self, data: dict[str, Any]) -> None:
        """List the trace of the record *data* among those in which something failed."""
        mark = {"base_id": data["base_id"], "timestamp": data["timestamp"]}
        self.db.profiler_error.replace_one({"base_id": data["base_id"]}, mark, upsert=True)

    def _make_ready(self) -> None:
        """See to the indexes; each time, since who drops the collection drops them too."""
        refusal = _library().errors.OperationFailure
        # It only helps to read: it may be there by another name, or not be ours to make.
        with contextlib.suppress(refusal):
            self.db.profiler.create_index([("base_id", 1), ("timestamp", 1)])
        if self._ttl_s is None:
            return
        try:
            self.db.profiler.create_index([(STORED_AT, 1)], expireAfterSeconds=self._ttl_s)
        except refusal as fault:
            if fault.code not in _OTHERWISE:
                raise
            there = {"keyPattern": {STORED_AT: 1}, "expireAfterSeconds": self._ttl_s}
            self.db.command({"collMod": "profiler", "index": there})

    def _document(self, record: dict[str, Any]) -> dict[str, Any]:
        document = mongodb_documents.document(self.labelled(record))
        if self._ttl_s is not None:
            document[STORED_AT] = datetime.datetime.now(datetime.timezone.utc)
        return document

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        with self._reading():
            return list(self._records(self.db.profiler.find({"base_id": base_id}), mongodb_documents.record))

    def _records(
        self, documents: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        return unreadable.readable(masked(self.connection_str), documents, read, mongodb_documents.name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        wanted = set(fields or self.default_trace_fields)
        shown = dict.fromkeys((*wanted, *self.default_trace_fields, ESCAPED), 1)
        with self._reading():
            documents = list(self._first_documents(shown))
            first = list(self._records(documents, mongodb_documents.mark))
            known = {record["base_id"] for record in first}
            # Of a trace whose first document is no record, the first one that is.
            for base_id in {each["base_id"] for each in documents if isinstance(each.get("base_id"), str)} - known:
                record = self.first_record(base_id)
                first += [] if record is None else [record]
            return network.listed(first, wanted)

    def _first_documents(self, shown: Mapping[str, int]) -> Iterable[dict[str, Any]]:
        """The first document of every trace, at least, in one request, and one of those that are of no trace."""
        first = [
            {"$sort": {"base_id": 1, "timestamp": 1}},
            {"$group": {"_id": "$base_id", "first": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$first"}},
            {"$project": shown},
        ]
        try:
            documents: Iterable[dict[str, Any]] = self.db.profiler.aggregate(first, allowDiskUse=True)
        except _library().errors.OperationFailure:  # FerretDB has no $first
            documents = self.db.profiler.find({}, shown)
        return documents

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class; by the index for a prefix."""
        parts = [f"^{re.escape(prefix)}", f"{re.escape(suffix)}$"]
        wanted = {"$and": [{"base_id": {"$regex": part}} for part in parts if len(part) > 1]}
        with self._reading():
            base_ids = self.db.profiler.distinct("base_id", wanted if wanted["$and"] else {})
        return [one for one in base_ids if isinstance(one, str) and one.startswith(prefix) and one.endswith(suffix)]

    def list_error_traces(self) -> list[dict[str, Any]]:
        wanted = {"$or": [{ERROR: True}, {"info.etype": {"$exists": True}}]}
        with self._reading():
            shown = dict.fromkeys(self.default_trace_fields, 1)
            marks = list(self._records(self.db.profiler.find(wanted, shown), mongodb_documents.mark))
            marks += self._records(self.db.profiler_error.find({}, shown), mongodb_documents.mark)
        return network.listed(marks, self.default_trace_fields)

    def delete(self, base_id: str) -> int:
        return self._delete_all([base_id])

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        gone = 0
        with self._reading():
            for at in range(0, len(base_ids), _AT_ONCE):
                those = {"base_id": {"$in": list(base_ids[at : at + _AT_ONCE])}}
                self.db.profiler_error.delete_many(those)
                gone += int(self.db.profiler.delete_many(those).deleted_count)
        return gone

    def close(self) -> None:
        client = self._client.take()
        if client is not None:
            client.close()

    def _reading(self) -> Any:
        return network.reading(self.connection_str, _library().errors.PyMongoError)


def _library() -> Any:
    try:
        import pymongo
        import pymongo.uri_parser
    except ImportError as fault:
        raise network.missing("MongoDB", "pymongo", "mongo") from fault
    return pymongo


def _kind(error: Exception) -> errors.Kind:
    """What *error*, of pymongo's, means for a batch."""
    library = _library()
    if isinstance(error, library.errors.ConnectionFailure):
        return errors.StoreUnavailable
    if isinstance(error, library.errors.OperationFailure):
        details = error.details or {}
        codes = {error.code, *(each.get("code") for each in details.get("writeErrors") or ())}
        return errors.StoreError if _UNAVAILABLE.isdisjoint(codes) else errors.StoreUnavailable
    # pymongo's own errors of values: a document that is too large, or of types that BSON does not have.
    return errors.RecordsRefused if isinstance(error, library.errors.InvalidDocument) else errors.kind_of(error)
