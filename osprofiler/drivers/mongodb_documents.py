# SPDX-License-Identifier: Apache-2.0
"""Convert a record to a document of MongoDB, and back.

Some servers refuse keys with dots or dollar signs. So these keys are escaped with percent signs, and the document has
``escaped``. The value of the reserved key of ``info`` is JSON text. The record of an error has ``error``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from osprofiler.records.error_kind import error_kind
from osprofiler.records.names import RESERVED
from osprofiler.records.record import Unreadable, checked, checked_mark, loads_json

#: Fields that are not in the record: whether its keys are escaped, whether it has an error, and the time when it was
#: stored, if it expires.
ESCAPED, ERROR, STORED_AT = "escaped", "error", "stored_at"
_OURS = frozenset(("_id", ESCAPED, ERROR, STORED_AT))

#: Characters that keys must not have on some servers or in queries.
_UNSAFE = frozenset("%.$\0")


def document(record: dict[str, Any]) -> dict[str, Any]:
    """Convert *record* to a document that every server takes."""
    info = record.get("info")
    if isinstance(info, Mapping) and RESERVED in info:
        record = {**record, "info": {**info, RESERVED: json.dumps(info[RESERVED], default=str)}}
    fields: dict[str, Any] = {str(key): _plain(value) for key, value in record.items()}
    if not _is_safe(fields):
        fields = {**_escaped(fields), ESCAPED: True}
    if error_kind(info):
        fields[ERROR] = True
    return fields


def _plain(value: Any) -> Any:
    """*value* with the types of BSON only: integers of at most 64 bits, UTF-8 text, no objects of the application."""
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
    """Whether no key in *value* needs to be escaped."""
    if isinstance(value, dict):
        return all(key and _UNSAFE.isdisjoint(key) and _is_safe(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_is_safe, value))


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        # "%": some servers refuse an empty key.
        return {
            quote(key, safe=" /:@!*'(),;[]{}").replace(".", "%2E") or "%": _escaped(item) for key, item in value.items()
        }
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _unescaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {"" if key == "%" else unquote(key): _unescaped(item) for key, item in value.items()}
    return [_unescaped(item) for item in value] if isinstance(value, list) else value


def record(document: dict[str, Any]) -> dict[str, Any]:
    """The record in *document*. Raises Unreadable if it is not a record."""
    fields: dict[str, Any] = {key: value for key, value in document.items() if key not in _OURS}
    if document.get(ESCAPED):
        fields = _unescaped(fields)
    info = fields.get("info")
    if isinstance(info, dict) and isinstance(info.get(RESERVED), str):
        with contextlib.suppress(Unreadable):  # the text was cut, or is not ours: leave it unchanged
            info[RESERVED] = loads_json(info[RESERVED])
    return checked(fields)


def mark(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of *document* for a list. Raises Unreadable if it is not a record."""
    fields = {key: value for key, value in document.items() if key not in _OURS}
    return checked_mark(_unescaped(fields) if document.get(ESCAPED) else fields)


def name(document: dict[str, Any]) -> str:
    """The name of *document* in messages."""
    return f"document {document.get('_id')} of trace {document.get('base_id')}"
