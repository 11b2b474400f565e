# SPDX-License-Identifier: Apache-2.0
"""A branch as text fields, for a queue, a message or the environment of another process.

``propagation`` writes and reads the context, so a receiver that does not know branches still continues the trace. One
more field describes the branch. It is signed together with the context.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler import propagation
from osprofiler._runtime import guard
from osprofiler.concurrency.branch import Branch
from osprofiler.context.points import Point
from osprofiler.propagation import carriers, packing, signed
from osprofiler.propagation.formats import MAX_FIELD_CHARS

#: ``<base64url of JSON>.<HMAC-SHA-256 in hexadecimal>``. The HMAC covers the signed context and the JSON. The keys of
#: the JSON: ``s`` the span id in hexadecimal, ``n`` the name of the branch, ``f`` the name of its fork, ``d`` true if
#: the branch is detached (nobody waits for it).
FIELD = "X-Trace-Branch"

#: Characters kept of a name, so that the field stays far below the longest field that receivers accept.
MAX_NAME_CHARS = 256

# The branches that were read last, by trace id and span id: a queue may deliver a message twice, and each span needs
# an id of its own.
_read_before: dict[tuple[int, int], None] = {}
_MAX_READ_BEFORE = 4096


def write(branch: Branch) -> dict[str, str]:
    """Return the fields that hand *branch* over to another process, which reads and enters it; {} if no trace is on."""
    at = branch.at
    if at is None:
        return {}
    fields = propagation.write(at.context(), follows=branch.detached)
    handover = branch.hand_over() if fields else None
    if handover is None or not handover.span_id or not at.origin.sampled:
        return fields
    description = {
        "s": f"{handover.span_id:x}",
        "n": branch.name[:MAX_NAME_CHARS],
        "f": branch.fork_name[:MAX_NAME_CHARS],
        "d": branch.detached,
    }
    text = json.dumps(description, ensure_ascii=False).encode("utf-8", "replace")
    body = base64.urlsafe_b64encode(text).decode("ascii")
    fields[FIELD] = f"{body}.{_signature(fields.get(signed.HEADER, ''), body, at.origin.hmac_key)}"
    return fields


def read(carrier: Mapping[Any, Any], name: str | None = None) -> Branch | None:
    """Read the branch in the fields of *carrier*; None if they have no valid trace context.

    Field names may be in any case, with dashes or underscores. *name* replaces the name that the sender gave.
    """
    fields = carriers.fields({_field_name(key): value for key, value in carrier.items()})
    incoming = propagation.read(fields)
    if incoming is None:
        return None
    at = Point(None, None, incoming.origin)
    description = _read_description(
        fields.get(FIELD.lower(), ""), fields.get(signed.HEADER.lower(), ""), incoming.origin.hmac_key
    )
    if description is None:
        return Branch(at, name or "branch", name or "branch", detached=incoming.follows, many=True)
    span_id = int(description["s"], 16)
    branch = Branch(
        at,
        name or description["n"],
        description["f"],
        detached=incoming.follows or description["d"] is True,
        span_id=span_id,
    )
    if not _is_new(incoming.origin.trace_id, span_id):
        branch.mark_used()
    return branch


@contextlib.contextmanager
def entered(carrier: Mapping[Any, Any], name: str | None = None) -> Iterator[None]:
    """Run a block as the branch in *carrier* (see ``Fork.to_carrier``), which may be ``os.environ``.

    A carrier without a trace, or one that is not signed with one of ``[profiler] hmac_keys``, changes nothing.
    """
    branch: Branch | None = None
    with guard.Harmless("branch"):
        branch = read(carrier, name)
        if carrier is os.environ:  # otherwise the children of this process would enter the branch too
            os.environ.pop(_variable_name(FIELD), None)
    if branch is None:
        yield
        return
    with branch:
        yield


def environment(fields: Mapping[str, str]) -> dict[str, str]:
    """*fields* under the names of environment variables: ``TRACEPARENT``, ``UBER_TRACE_ID``, ``X_TRACE_CONTEXT``."""
    return {_variable_name(name): value for name, value in fields.items()}


def _variable_name(field: str) -> str:
    return field.upper().replace("-", "_")


def _field_name(key: Any) -> Any:
    return key.lower().replace("_", "-") if isinstance(key, str) else key


def _read_description(text: str, context: str, key: str | None) -> dict[str, Any] | None:
    body, dot, signature = text.partition(".")
    if not dot or len(text) > MAX_FIELD_CHARS or not text.isascii():
        return None
    if not hmac.compare_digest(_signature(context, body, key), signature):
        guard.count("malformed")
        return None
    try:
        description = json.loads(base64.urlsafe_b64decode(body))
        valid = (
            all(isinstance(description[key], str) for key in "snf")
            and 0 < int(description["s"], 16) < 1 << 64
            and "d" in description
        )
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        guard.count("malformed")
        return None
    return dict(description)


def _is_new(trace_id: int, span_id: int) -> bool:
    if (trace_id, span_id) in _read_before:
        return False
    _read_before[trace_id, span_id] = None
    while len(_read_before) > _MAX_READ_BEFORE:
        _read_before.pop(next(iter(_read_before)), None)
    return True


def _signature(context: str, body: str, key: str | None) -> str:
    """Sign a branch. Without a key (a trusted foreign context) this is only a checksum."""
    return packing.hmac_text(f"branch {context} {body}".encode(), key or "", "sha256")
