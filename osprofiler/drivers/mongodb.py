# SPDX-License-Identifier: Apache-2.0
"""Traces in MongoDB, or in what speaks its protocol.

As in osprofiler 4.4.0 a record is a document of the collection ``profiler``; either reads what the other wrote. Keys
that not every server takes (with dots, dollar signs) are written with percent signs, and such a document says so under
``escaped``; what stands under the reserved key of ``info`` is JSON text. A record that something failed has ``error``.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from osprofiler.connection import options as known
from osprofiler.connection import strings
from osprofiler.connection.fault_text import told
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, network
from osprofiler.records import unreadable
from osprofiler.records.names import RESERVED
from osprofiler.records.record import Unreadable, checked, checked_mark, loads_json
from osprofiler.reports.model import error_kind

#: Fields of ours beside the record's own.
_ESCAPED, _ERROR, _STORED_AT = "escaped", "error", "stored_at"
_OURS = frozenset(("_id", _ESCAPED, _ERROR, _STORED_AT))
_OPTIONS = known.names("mongodb")

#: What a server answers that has the index, with other options: IndexOptionsConflict, IndexKeySpecsConflict.
_OTHERWISE = frozenset((85, 86))

_AT_ONCE = 500  # traces that one request removes

#: What keys have to do without on some servers or in queries.
_UNSAFE = frozenset("%.$\0")


class MongoDB(base.Driver):
    """``mongodb://[user:password@]host[:27017][/authdb]``, ``mongodb+srv://``. A batch is one ``insert_many``.

    Options after ``?``: ``ttl`` (records are forgotten after this time: ``7d``; the server looks once a minute), and
    those of pymongo, such as ``tls=true``. Errors leave ``write`` as pymongo raises them.
    """

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
            raise malformed(connection_string, told(fault, connection_string)) from None

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
        said = self._url.partition("?")[2].lower()
        unsaid = {name: value for name, value in waits_ms.items() if f"{name.lower()}=" not in said}
        return _library().MongoClient(self._url, connect=False, **unsaid)

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        self._make_ready()
        documents = [self._document(record) for record in records]
        # Unordered: one that the server refuses keeps no other from being stored.
        self.db.profiler.insert_many(documents, ordered=False)
        if self.filter_error_trace:
            # For readers older than this driver; it finds them in the records.
            for record in records:
                if error_kind(record.get("info")):
                    self.notify_error_trace(record)

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
            self.db.profiler.create_index([(_STORED_AT, 1)], expireAfterSeconds=self._ttl_s)
        except refusal as fault:
            if fault.code not in _OTHERWISE:
                raise
            there = {"keyPattern": {_STORED_AT: 1}, "expireAfterSeconds": self._ttl_s}
            self.db.command({"collMod": "profiler", "index": there})

    def _document(self, record: dict[str, Any]) -> dict[str, Any]:
        record = self.labelled(record)
        info = record.get("info")
        if isinstance(info, Mapping) and RESERVED in info:
            record["info"] = {**info, RESERVED: json.dumps(info[RESERVED], default=str)}
        document: dict[str, Any] = {str(key): _plain(value) for key, value in record.items()}
        if not _is_safe(document):
            document = {**_escaped(document), _ESCAPED: True}
        if error_kind(info):
            document[_ERROR] = True
        if self._ttl_s is not None:
            document[_STORED_AT] = datetime.datetime.now(datetime.timezone.utc)
        return document

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        with self._reading():
            return list(self._records(self.db.profiler.find({"base_id": base_id}), _record))

    def _records(
        self, documents: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        return unreadable.readable(masked(self.connection_str), documents, read, _name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        wanted = set(fields or self.default_trace_fields)
        shown = dict.fromkeys((*wanted, *self.default_trace_fields, _ESCAPED), 1)
        with self._reading():
            documents = list(self._first_documents(shown))
            first = list(self._records(documents, _mark))
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
            found: Iterable[dict[str, Any]] = self.db.profiler.aggregate(first, allowDiskUse=True)
        except _library().errors.OperationFailure:  # FerretDB has no $first
            found = self.db.profiler.find({}, shown)
        return found

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class; by the index for a prefix."""
        parts = [f"^{re.escape(prefix)}", f"{re.escape(suffix)}$"]
        wanted = {"$and": [{"base_id": {"$regex": part}} for part in parts if len(part) > 1]}
        with self._reading():
            found = self.db.profiler.distinct("base_id", wanted if wanted["$and"] else {})
        return [one for one in found if isinstance(one, str) and one.startswith(prefix) and one.endswith(suffix)]

    def list_error_traces(self) -> list[dict[str, Any]]:
        wanted = {"$or": [{_ERROR: True}, {"info.etype": {"$exists": True}}]}
        with self._reading():
            shown = dict.fromkeys(self.default_trace_fields, 1)
            found = list(self._records(self.db.profiler.find(wanted, shown), _mark))
            found += self._records(self.db.profiler_error.find({}, shown), _mark)
        return network.listed(found, self.default_trace_fields)

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


def _plain(value: Any) -> Any:
    """*value* as BSON holds it: no integer beyond 64 bits, no text that is not UTF-8, nothing of the application's."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _is_safe(value: Any) -> bool:
    """Whether no key within *value* needs to be escaped."""
    if isinstance(value, dict):
        return all(key and _UNSAFE.isdisjoint(key) and _is_safe(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_is_safe, value))


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        # An empty key is refused by some servers too.
        return {
            quote(key, safe=" /:@!*'(),;[]{}").replace(".", "%2E") or "%": _escaped(item) for key, item in value.items()
        }
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _unescaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {"" if key == "%" else unquote(key): _unescaped(item) for key, item in value.items()}
    return [_unescaped(item) for item in value] if isinstance(value, list) else value


def _record(document: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {key: value for key, value in document.items() if key not in _OURS}
    if document.get(_ESCAPED):
        record = _unescaped(record)
    info = record.get("info")
    if isinstance(info, dict) and isinstance(info.get(RESERVED), str):
        with contextlib.suppress(Unreadable):  # cut, or not ours: it stays as it is
            info[RESERVED] = loads_json(info[RESERVED])
    return checked(record)


def _mark(document: dict[str, Any]) -> dict[str, Any]:
    """What a list shows of *document*."""
    record = {key: value for key, value in document.items() if key not in _OURS}
    return checked_mark(_unescaped(record) if document.get(_ESCAPED) else record)


def _name(document: dict[str, Any]) -> str:
    return f"document {document.get('_id')} of trace {document.get('base_id')}"
