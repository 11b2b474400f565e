# SPDX-License-Identifier: Apache-2.0
"""The text of a command for MongoDB in its span: the name, the collection and the names of fields, and no values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.context.values import clean, label
from osprofiler.handlers.command import STATEMENT_CHARS, VALUE, shows_keys

#: The text shows at most this number of fields of a document, and documents inside documents to this depth.
MAX_FIELDS = 16
MAX_DEPTH = 6

#: Fields that pymongo adds to all commands.
_ENVELOPE = frozenset(
    ("$clusterTime", "$db", "$readPreference", "autocommit", "lsid", "startTransaction", "txnNumber", "writeConcern")
)


def statement(command: Mapping[str, Any]) -> str:
    """The text of *command*: ``find queues {filter: {project: ?}, limit: ?}``."""
    items = [(name, value) for name, value in command.items() if name not in _ENVELOPE]
    if not items:
        return ""
    (name, target), *rest = items
    if not shows_keys():
        return name
    # getMore has the name of the collection in a field of its own.
    collection = target if isinstance(target, str) else dict(rest).get("collection")
    shown = [name, label(collection)] if isinstance(collection, str) else [name]
    if rest:
        shown.append(_document(dict(rest), 1))
    return clean(" ".join(shown), STATEMENT_CHARS)


def failure(reply: Mapping[str, Any]) -> tuple[str, str] | None:
    """Kind and message of the failure in *reply*; None if there is none.

    *reply* is the answer of the server, or pymongo's description of an error. The reply to a write is "ok" even if the
    server has rejected some of the documents.
    """
    error, kind = reply, "OperationFailure"
    if reply.get("ok"):
        rejected = reply.get("writeErrors") or [reply.get("writeConcernError")]
        error, kind = rejected[0], "WriteError"
        if not error:
            return None
    # The name is the server's, or else pymongo's.
    return str(error.get("codeName") or error.get("errtype") or kind), str(error.get("errmsg") or "")


def _shape(value: Any, depth: int) -> str:
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return _document(value, depth + 1)
    if isinstance(value, (list, tuple)) and value:
        more = f", ...({len(value) - 1} more)" if len(value) > 1 else ""
        return f"[{_shape(value[0], depth + 1)}{more}]"
    return VALUE


def _document(document: dict[str, Any], depth: int) -> str:
    fields = [f"{label(name)}: {_shape(value, depth)}" for name, value in list(document.items())[:MAX_FIELDS]]
    if len(document) > MAX_FIELDS:
        fields.append(f"...({len(document) - MAX_FIELDS} more)")
    return f"{{{', '.join(fields)}}}"
