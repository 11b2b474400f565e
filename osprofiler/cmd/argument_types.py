# SPDX-License-Identifier: Apache-2.0
"""Types of arguments, for argparse: durations and points in time, numbers, yes or no.

Each function takes the text of an argument. It raises ArgumentTypeError, whose text argparse reports.
"""

from __future__ import annotations

import argparse
import datetime
import math
import re
import time

from osprofiler.records.record import microseconds

_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_LENGTH = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS_US)})", re.A)
_LONGEST_US = 10**16  # 300 years; now minus this is still a valid date


def length_us(text: str) -> int:
    """A duration, like ``250ms``, ``1.5s``, ``2h`` or ``7d``, in microseconds."""
    match = _LENGTH.fullmatch(text.strip().lower())
    length = float(match[1]) * _UNITS_US[match[2]] if match else _LONGEST_US + 1
    if length > _LONGEST_US:
        raise argparse.ArgumentTypeError(f"expected a duration like 250ms, 1.5s, 2h or 7d, not {text!r}")
    return round(length)


def moment_us(text: str) -> int:
    """A date, or a date and time (in UTC if it names no time zone), or a duration before now.

    Returns microseconds since the epoch.
    """
    try:
        at = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        if at.tzinfo is not None:
            at = at.astimezone(datetime.timezone.utc)
        return microseconds(at.isoformat())
    except (ValueError, OverflowError):
        pass
    try:
        return time.time_ns() // 1000 - length_us(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected a time like 2026-11-20, 2026-11-20T21:46 or 2h (ago), not {text!r}"
        ) from None


def http_status(text: str) -> range:
    """One status, like ``404``, or a class of them: ``4xx`` is 400 to 499."""
    if re.fullmatch(r"[1-5]xx", text.lower()):
        return range(int(text[0]) * 100, int(text[0]) * 100 + 100)
    if re.fullmatch(r"[1-5][0-9]{2}", text):
        return range(int(text), int(text) + 1)
    raise argparse.ArgumentTypeError(f"expected a status like 404, or 4xx for all of them, not {text!r}")


def tag(text: str) -> tuple[str, str]:
    """The name of a tag and its value: ``http.method=GET``."""
    name, equals, value = text.partition("=")
    if name and equals:
        return name, value
    raise argparse.ArgumentTypeError(f"expected a tag like http.method=GET, not {text!r}")


def count(text: str) -> int:
    """A number from 1 to 999999999. Every store accepts it."""
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 999999999, not {text!r}")
    return int(text)


def rate(text: str) -> float:
    """A number above 0, which may have decimals."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return number


def truth(text: str) -> bool:
    """Yes or no."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise argparse.ArgumentTypeError(f"expected yes or no, not {text!r}")
