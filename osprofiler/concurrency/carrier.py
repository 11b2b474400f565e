# SPDX-License-Identifier: Apache-2.0
"""A branch as text fields: through queues, messages and the environment of another process.

The context is written and read as everywhere (``propagation``), so a receiver that knows nothing of branches still
continues the trace. One more field says which branch it is, signed together with the context.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
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

#: ``<base64url of JSON>.<HMAC-SHA-256 in hexadecimal>`` over the signed context and the JSON; its keys: ``s`` the span
#: id in hexadecimal, ``n`` the branch's name, ``f`` its fork's, ``d`` whether nobody waits for it.
FIELD = "X-Trace-Branch"

#: What is kept of a name, so that the field stays far below what any field may take.
MAX_NAME_CHARS = 256

# The branches read last, by trace and span id: a queue may deliver a message twice, and no two spans share an id.
_read_before: dict[tuple[int, int], None] = {}
_REMEMBERED = 4096


def write(branch: Branch) -> dict[str, str]:
    """The fields that hand *branch* over; none where no trace is on. It is entered where they are read."""
    at = branch.at
    if at is None:
        return {}
    fields = propagation.write(at.context(), follows=branch.detached)
    handover = branch.hand_over() if fields else None
    if handover is None or not handover.span_id or not at.origin.sampled:
        return fields
    said = {
        "s": f"{handover.span_id:x}",
        "n": branch.name[:MAX_NAME_CHARS],
        "f": branch.fork_name[:MAX_NAME_CHARS],
        "d": branch.detached,
    }
    text = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")
    body = base64.urlsafe_b64encode(text).decode("ascii")
    fields[FIELD] = f"{body}.{_signature(fields.get(signed.HEADER, ''), body, at.origin.hmac_key)}"
    return fields


def read(carrier: Mapping[Any, Any], name: str | None = None) -> Branch | None:
    """The branch that *carrier*'s fields ask for; None where they ask for none that counts.

    Fields may be in any case, with dashes or underscores. *name* is what a branch is called whose sender gave no name.
    """
    fields = carriers.fields({_field_name(key): value for key, value in carrier.items()})
    incoming = propagation.read(fields)
    if incoming is None:
        return None
    at = Point(None, None, incoming.origin)
    said = _said(fields.get(FIELD.lower(), ""), fields.get(signed.HEADER.lower(), ""), incoming.origin.hmac_key)
    if said is None:
        return Branch(at, name or "branch", name or "branch", detached=incoming.follows, many=True)
    span_id = int(said["s"], 16)
    branch = Branch(
        at,
        name or said["n"],
        said["f"],
        detached=incoming.follows or said["d"] is True,
        span_id=span_id,
    )
    if not _is_new(incoming.origin.trace_id, span_id):
        branch.mark_used()
    return branch


@contextlib.contextmanager
def entered(carrier: Mapping[Any, Any], name: str | None = None) -> Iterator[None]:
    """Run a block as the branch in *carrier* (see ``Fork.to_carrier``), which may be ``os.environ``.

    A carrier that asks for nothing, or whose signature is not of one of ``[profiler] hmac_keys``, changes nothing.
    """
    branch: Branch | None = None
    with guard.Harmless("branch"):
        branch = read(carrier, name)
        if carrier is os.environ:  # else this process's own children would find it too
            os.environ.pop(_variable_name(FIELD), None)
    if branch is None:
        yield
        return
    with branch:
        yield


def environment(fields: Mapping[str, str]) -> dict[str, str]:
    """*fields* under names that an environment takes: ``TRACEPARENT``, ``UBER_TRACE_ID``, ``X_TRACE_CONTEXT``."""
    return {_variable_name(name): value for name, value in fields.items()}


def _variable_name(field: str) -> str:
    return field.upper().replace("-", "_")


def _field_name(key: Any) -> Any:
    return key.lower().replace("_", "-") if isinstance(key, str) else key


def _said(text: str, context: str, key: str | None) -> dict[str, Any] | None:
    body, dot, signature = text.partition(".")
    if not dot or len(text) > MAX_FIELD_CHARS or not text.isascii():
        return None
    if not hmac.compare_digest(_signature(context, body, key), signature):
        guard.count("malformed")
        return None
    try:
        said = json.loads(base64.urlsafe_b64decode(body))
        whole = all(isinstance(said[key], str) for key in "snf") and 0 < int(said["s"], 16) < 1 << 64 and "d" in said
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        guard.count("malformed")
        return None
    return dict(said)


def _is_new(trace_id: int, span_id: int) -> bool:
    if (trace_id, span_id) in _read_before:
        return False
    _read_before[trace_id, span_id] = None
    while len(_read_before) > _REMEMBERED:
        _read_before.pop(next(iter(_read_before)), None)
    return True


def _signature(context: str, body: str, key: str | None) -> str:
    """Without a key, of a context that was taken on trust, no more than a checksum."""
    return hmac.new(packing.binary_encode(key or ""), f"branch {context} {body}".encode(), hashlib.sha256).hexdigest()
