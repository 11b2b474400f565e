# SPDX-License-Identifier: Apache-2.0
"""What a fault of a store or a transport says, in one line that may be logged.

Only for faults of libraries that speak to a store: the text of an application's fault stays out of logs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from osprofiler.connection import secrets

MAX_CHARS = 200

#: What pymongo adds: its settings, the topology, the server's whole answer (with the document).
_OF_PYMONGO = re.compile(r" \(configured timeouts|, full error:|, Timeout:")
#: What urllib3 begins with: the object that failed.
_OF_URLLIB3 = re.compile(r"^(?:<[^>]*>|\w+\(host=[^)]*\)): ")


def fault_line(
    fault: BaseException, *connection_strings: str, plain: Iterable[str] = (), max_chars: int = MAX_CHARS
) -> str:
    """The first line of what *fault* says, without the secrets of these strings and without those of *plain*; its type
    if it says nothing."""
    try:
        text = _words(fault)
    except Exception:  # a __str__ that raises
        text = ""
    # First cut, then shortened: of a secret that a line's end or our limit divides no half is left.
    lines = secrets.cut(text, *connection_strings, plain=plain).strip().splitlines()
    line = lines[0].strip() if lines else ""
    if not line:
        return type(fault).__name__
    return line if len(line) <= max_chars else f"{line[: max_chars - 3]}..."


def typed_fault_line(fault: BaseException, *connection_strings: str, plain: Iterable[str] = ()) -> str:
    """The type of *fault*, and what :func:`fault_line` says."""
    kind, text = type(fault).__name__, fault_line(fault, *connection_strings, plain=plain)
    return kind if text == kind else f"{kind}: {text}"


def _words(fault: BaseException) -> str:
    # SQLAlchemy's own text holds the statement and its parameters; the database library's alone says what is wrong,
    # MySQL's as (number, text).
    own = getattr(fault, "orig", None)
    if isinstance(own, BaseException):
        return str(own.args[-1] if own.args else type(own).__name__)
    # requests' own text holds three layers of objects; the innermost says why.
    inner = getattr(fault.args[0], "reason", None) if fault.args else None
    if not isinstance(inner, BaseException):
        return _OF_URLLIB3.sub("", _OF_PYMONGO.split(str(fault))[0])
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    return _OF_URLLIB3.sub("", str(inner))
