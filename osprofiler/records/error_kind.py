# SPDX-License-Identifier: Apache-2.0
"""The kind of error in a record or in the tags of a span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.records import names
from osprofiler.records.record import as_mapping

_NO_ERROR = frozenset(("", "false", "no", "0", "none", "null"))
_MAX_CHARS = 200


def error_kind(info: object) -> str | None:
    """The kind of error in the ``info`` of a stop record: the exception's type, else the error tag; None: no error."""
    info = as_mapping(info)
    kind = info.get("etype")
    if kind is not None:
        return str(kind)
    return tagged_error(as_mapping(as_mapping(info.get(names.RESERVED)).get("tags")))


def tagged_error(tags: Mapping[str, Any]) -> str | None:
    """The kind of error in the tag ``error``; None: no error.

    It is ``error`` if the tag is true, or else the first line of the text that a tracer has put there.
    """
    flag = tags.get("error")
    if not isinstance(flag, str):
        return "error" if flag is True else None
    first_line = flag.strip().partition("\n")[0].rstrip()
    if first_line.lower() == "true":
        return "error"
    return first_line[:_MAX_CHARS] if first_line.lower() not in _NO_ERROR else None
