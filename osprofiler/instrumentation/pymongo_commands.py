# SPDX-License-Identifier: Apache-2.0
"""What the span of a command to MongoDB shows of it: its name, its collection, names of fields, and never a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler import config
from osprofiler.context.values import clean, label
from osprofiler.handlers.command import STATEMENT_CHARS, VALUE

#: How many fields of a document are shown, and how deep documents inside it.
MAX_FIELDS = 16
MAX_DEPTH = 6

#: What pymongo adds to each command, whatever it does.
_ENVELOPE = frozenset(
    ("$clusterTime", "$db", "$readPreference", "autocommit", "lsid", "startTransaction", "txnNumber", "writeConcern")
)


def statement(command: Mapping[str, Any]) -> str:
    """A command as its span shows it: ``find queues {filter: {project: ?}, limit: ?}``."""
    items = [(name, value) for name, value in command.items() if name not in _ENVELOPE]
    if not items:
        return ""
    (name, target), *rest = items
    if config.current().trace_arguments != "full":
        return name
    # The command getMore has its collection's name in a field of this name.
    collection = target if isinstance(target, str) else dict(rest).get("collection")
    shown = [name, label(collection)] if isinstance(collection, str) else [name]
    if rest:
        shown.append(_document(dict(rest), 1))
    return clean(" ".join(shown), STATEMENT_CHARS)


def failure(reply: Mapping[str, Any]) -> tuple[str, str] | None:
    """Kind and message of a failure that *reply*, or pymongo's description of an error, speaks of; None: of none.

    A command that writes succeeds as a whole, while some of what it should write is refused.
    """
    of = reply
    if reply.get("ok"):
        refused = reply.get("writeErrors") or [reply.get("writeConcernError")]
        of = refused[0]
        if not of:
            return None
    # As the server calls it, or else pymongo.
    kind = of.get("codeName") or of.get("errtype") or ("WriteError" if of is not reply else "OperationFailure")
    return str(kind), str(of.get("errmsg") or "")


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
