# SPDX-License-Identifier: Apache-2.0
"""A signed dictionary as ``X-Trace-Info`` and ``X-Trace-HMAC`` hold it: base64url of JSON, and its HMAC-SHA-1. Also the
list of the keys that sign it, as text.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, overload

Parts = TypeVar("Parts", bound="list[Any] | tuple[Any, ...]")


def binary_encode(text: bytes | str, encoding: str = "utf-8") -> bytes:
    """*text* as bytes; bytes are returned unchanged. Raises TypeError for any other type."""
    if isinstance(text, str):
        return text.encode(encoding)
    if isinstance(text, bytes):
        return text
    raise TypeError(f"expected text or bytes, not {type(text).__name__}")


def binary_decode(data: bytes | str, encoding: str = "utf-8") -> str:
    """*data* as text; text is returned unchanged. Raises TypeError for any other type."""
    if isinstance(data, bytes):
        return data.decode(encoding)
    if isinstance(data, str):
        return data
    raise TypeError(f"expected text or bytes, not {type(data).__name__}")


def hmac_text(data: bytes, hmac_key: bytes | str, digest: str) -> str:
    """The HMAC of *data* in hexadecimal. *digest*: ``sha1`` or ``sha256``."""
    keyed = _keyed(hmac_key, digest).copy()
    keyed.update(data)
    return keyed.hexdigest()


@functools.lru_cache(maxsize=1024)  # a service may have as many keys with limits
def _keyed(hmac_key: bytes | str, digest: str) -> hmac.HMAC:
    """The HMAC of nothing. To begin with a copy of it takes less time than to begin with the key."""
    return hmac.new(binary_encode(hmac_key), digestmod=digest)


def generate_hmac(data: bytes | str, hmac_key: bytes | str) -> str:
    """The HMAC-SHA-1 of *data* in hexadecimal, as in ``X-Trace-HMAC``."""
    return hmac_text(binary_encode(data), hmac_key, "sha1")


def signed_pack(data: Mapping[str, Any], hmac_key: str | None) -> tuple[bytes, str | None]:
    """*data* as base64url of JSON, and its HMAC. Without a key the HMAC is None, and no receiver accepts the pair."""
    packed = base64.urlsafe_b64encode(json.dumps(data).encode())
    return packed, generate_hmac(packed, hmac_key) if hmac_key else None


def signed_unpack(
    data: str | bytes | None, hmac_data: str | None, hmac_keys: Sequence[str] | None
) -> dict[str, Any] | None:
    """The inverse of :func:`signed_pack`. The result has the signing key as ``hmac_key``.

    None if an argument is missing, if no key of *hmac_keys* fits, or if the signed content is not a JSON dictionary.
    """
    if not (data and hmac_data and hmac_keys):
        return None
    try:
        packed = binary_encode(data)
        # As bytes, since compare_digest refuses text that is not ASCII, and a sender may send that.
        signature = binary_encode(hmac_data.strip())
        for key in hmac_keys:
            if hmac.compare_digest(generate_hmac(packed, key).encode("ascii"), signature):
                contents = json.loads(base64.urlsafe_b64decode(packed))
                return {**contents, "hmac_key": key} if isinstance(contents, dict) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return None


@overload
def split(text: str, strip: bool = True) -> list[str]: ...


@overload
def split(text: Parts, strip: bool = True) -> Parts: ...


def split(text: str | Parts, strip: bool = True) -> list[str] | Parts:
    """The parts of a comma-separated text; with *strip* without white space around them and without empty ones.

    A list or tuple comes back as it is; anything else raises TypeError.
    """
    if isinstance(text, (list, tuple)):
        return text
    if not isinstance(text, str):
        raise TypeError(f"cannot split {type(text).__name__}: a comma-separated text or a list is wanted")
    parts = text.split(",")
    return [part.strip() for part in parts if part.strip()] if strip else parts
