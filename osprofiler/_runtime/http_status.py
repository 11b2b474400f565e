# SPDX-License-Identifier: Apache-2.0
"""The meaning of a response's HTTP status, other than a success, for a request that sends spans or records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

#: The wait after a response that denies access, in seconds. Many attempts in a row may lock an account.
DENIED_RETRY_S = 5.0

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


def text(status: int, reason: object = None) -> str:
    """*status* in words; *reason* is the server's own, if there is one."""
    reason = reason or _DENIED.get(status)
    return f"HTTP status {status}{f': {reason}' if reason else ''}"


def retry_after_s(response: requests.Response) -> float | None:
    """The seconds to wait before the next request, from the Retry-After header of *response*.

    Without the header ``DENIED_RETRY_S`` if *response* denies access, otherwise None.
    """
    import email.utils

    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal() and text.isascii():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return DENIED_RETRY_S if response.status_code in _DENIED else None
    return max(when.timestamp() - time.time(), 0.0)
