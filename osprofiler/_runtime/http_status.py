# SPDX-License-Identifier: Apache-2.0
"""The meaning of an HTTP status, other than a success, for a request that sends spans or records."""

from __future__ import annotations

#: The server, or a proxy, is away or asks us to wait.
_AWAY = frozenset((408, 425, 429, 502, 503, 504))

#: The server, or a proxy, denies access, which an operator corrects. Values: the reason, in words.
_DENIED = {
    401: "the server does not accept the user, password or token",
    403: "the user or token is not allowed to do this",
    407: "the proxy does not accept the user or password",
}


def is_unavailable(status: int) -> bool:
    """Whether the server accepts nothing at present, whatever the request holds."""
    return status in _AWAY or status in _DENIED


def is_denied(status: int) -> bool:
    """Whether the server accepts nothing until an operator corrects the credentials."""
    return status in _DENIED


def text(status: int, reason: object = None) -> str:
    """*status* in words; *reason* is the server's own, if there is one."""
    reason = reason or _DENIED.get(status)
    return f"HTTP status {status}{f': {reason}' if reason else ''}"
