# SPDX-License-Identifier: Apache-2.0
"""Turn an error of a store or a transport into one line that may be logged.

Use it only for errors of libraries that connect to a store. The text of an application's error is never logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from osprofiler.connection import secrets

MAX_CHARS = 200

#: The start of pymongo's addition: its settings, the topology, the server's whole answer (with the document).
_PYMONGO_TAIL = re.compile(r" \(configured timeouts|, full error:|, Timeout:")
#: The start of redis-py's texts where a command of a pipeline failed: that command, with the records in it.
_REDIS_HEAD = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.S)
#: The start of urllib3's texts: the object that failed.
_URLLIB3_HEAD = re.compile(r"^(?:<[^>]*>|\w+\(host=[^)]*\)): ")


def fault_line(
    fault: BaseException, *connection_strings: str, plain: Iterable[str] = (), max_chars: int = MAX_CHARS
) -> str:
    """The first line of the text of *fault*, or its type if it has no text.

    The secrets of the connection strings, and those of *plain*, are cut from it.
    """
    try:
        text = _text_of(fault)
    except Exception:  # a __str__ that raises
        text = ""
    # Secrets are cut before the line is shortened: otherwise a line's end or the limit could leave half a secret.
    lines = secrets.cut(text, *connection_strings, plain=plain).strip().splitlines()
    line = lines[0].strip() if lines else ""
    if not line:
        return type(fault).__name__
    return line if len(line) <= max_chars else f"{line[: max_chars - 3]}..."


def typed_fault_line(fault: BaseException, *connection_strings: str, plain: Iterable[str] = ()) -> str:
    """The type of *fault*, and its :func:`fault_line`."""
    kind, text = type(fault).__name__, fault_line(fault, *connection_strings, plain=plain)
    return kind if text == kind else f"{kind}: {text}"


def _text_of(fault: BaseException) -> str:
    # SQLAlchemy's own text holds the statement and its parameters. The error of the database library has only the
    # reason; that of MySQL is (number, text).
    own = getattr(fault, "orig", None)
    if isinstance(own, BaseException):
        return str(own.args[-1] if own.args else type(own).__name__)
    # requests' own text has three nested errors; the innermost one has the reason.
    inner = getattr(fault.args[0], "reason", None) if fault.args else None
    if not isinstance(inner, BaseException):
        return _URLLIB3_HEAD.sub("", _REDIS_HEAD.sub("", _PYMONGO_TAIL.split(str(fault))[0]))
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    return _URLLIB3_HEAD.sub("", str(inner))
