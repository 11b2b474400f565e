# SPDX-License-Identifier: Apache-2.0
"""The signature of a policy: its last line, a comment of YAML.

::

    # osprofiler-signature: sha256:<64 hexadecimal digits>

The digits are the HMAC-SHA256 (RFC 2104) of all bytes before this line.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

_MARK = b"# osprofiler-signature: sha256:"


class BadSignature(ValueError):
    """The policy has no signature, or that of another key or another text. The text is one line."""


def signed(content: bytes, key: str) -> bytes:
    """*content* with a signature by *key*, in place of an earlier one."""
    body, _ = _parts(content)
    if body and not body.endswith(b"\n"):
        body += b"\n"
    return body + _MARK + _digits(body, key) + b"\n"


def check(content: bytes, keys: Sequence[str]) -> None:
    """Check that *content* is signed by one of *keys*. Raises BadSignature."""
    body, digits = _parts(content)
    if digits is None:
        raise BadSignature("it is not signed")
    if not any(hmac.compare_digest(_digits(body, key), digits) for key in keys):
        raise BadSignature("its signature is wrong")


def is_signed(content: bytes) -> bool:
    """Whether *content* has a signature, right or wrong."""
    return _parts(content)[1] is not None


def _parts(content: bytes) -> tuple[bytes, bytes | None]:
    """The bytes before the signature, and its digits; None without a signature."""
    last = content.rstrip().rpartition(b"\n")[2]
    if not last.startswith(_MARK):
        return content, None
    return content[: content.rindex(last)], last[len(_MARK) :].strip()


def _digits(body: bytes, key: str) -> bytes:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest().encode()
