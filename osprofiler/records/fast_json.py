# SPDX-License-Identifier: Apache-2.0
"""Reads JSON with msgspec if it is installed (the extra ``analysis``), in half the time of the json package.

The values are the same. msgspec refuses some texts that the json package reads, such as ``NaN``: then that reads them,
and its errors are the only ones that callers see.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any


def loads(text: str) -> Any:
    """The value of *text*. Raises ValueError, or RecursionError if it is nested too deep, as ``json.loads`` does."""
    decode = _decoder()
    if decode is not None:
        try:
            return decode(text)
        except (ValueError, RecursionError):
            pass
    return json.loads(text)


@functools.cache
def _decoder() -> Callable[[str], Any] | None:
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec.json.Decoder().decode
