# SPDX-License-Identifier: Apache-2.0
"""The indexes that keep reading fast in a large collection of MongoDB."""

from __future__ import annotations

import json
from typing import Any

from osprofiler._runtime import guard
from osprofiler.drivers.mongodb_documents import ERROR

#: The arguments of ``create_index``: for the records of a trace, the newest records, the services, and the records of
#: errors.
_INDEXES: tuple[dict[str, Any], ...] = (
    {"keys": [("base_id", 1), ("timestamp", 1)]},
    {"keys": [("timestamp", 1)]},
    {"keys": [("service", 1), ("project", 1)]},
    {"keys": [(ERROR, 1)], "sparse": True},
)

#: A writer makes indexes in a collection of at most so many documents. More would keep a service waiting.
_MOST_DOCUMENTS = 100_000


def missing(collection: Any) -> list[dict[str, Any]]:
    """The indexes that *collection* does not have."""
    existing = [index["key"] for index in collection.index_information().values()]
    return [index for index in _INDEXES if index["keys"] not in existing]


def make(collection: Any, refusal: type[Exception], shown: str) -> None:
    """Make the missing indexes, unless the collection is large. Logs once what is missing after that.

    *refusal*: what the client raises if the account has no right to do so.
    """
    wanted = list(_INDEXES)
    try:
        wanted = missing(collection)
        if wanted and collection.estimated_document_count() <= _MOST_DOCUMENTS:
            while wanted:  # one at a time: FerretDB fails otherwise
                collection.create_index(**wanted[0])
                del wanted[0]
    except refusal:
        pass
    if wanted:
        guard.warn_once(
            "mongodb_indexes", "%s: lists of traces will be slow in a large collection: %s", shown, advice(wanted)
        )


def advice(wanted: list[dict[str, Any]]) -> str:
    """What an operator does about the missing indexes *wanted*, in one line."""
    return f"make its indexes in the MongoDB shell: {'; '.join(map(_statement, wanted))}"


def _statement(index: dict[str, Any]) -> str:
    options = {name: value for name, value in index.items() if name != "keys"}
    arguments = [dict(index["keys"]), options] if options else [dict(index["keys"])]
    return f"db.profiler.createIndex({', '.join(map(json.dumps, arguments))})"
