# SPDX-License-Identifier: Apache-2.0
"""The parameters of a request's query string, read as Jaeger's query service reads them.

Times are integers since the epoch, or texts of RFC 3339. Durations are those of Go, such as ``1.5s`` or ``2h30m``. An
empty value counts as absent. All readers raise Refused, with status 400, if a value is malformed.
"""

from __future__ import annotations

import datetime
import json
import re
from decimal import Decimal
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode

from osprofiler.serve.responses import Refused

_MOST_FIELDS = 300
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.A)
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # the micro sign
    "μs": 1_000,  # the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(rf"([0-9]{{1,12}}\.?[0-9]{{0,12}}|\.[0-9]{{1,12}})({'|'.join(_UNITS_NS)})", re.A)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[-+]\d\d:\d\d)", re.A)
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_TRACE_ID = re.compile(r"[0-9a-f]{1,32}", re.I | re.A)
_SHOWN_CHARS = 80


def malformed(name: str, value: str, wanted: str) -> Refused:
    """The error for the parameter *name*."""
    return Refused(HTTPStatus.BAD_REQUEST, f"unable to parse param '{name}': {wanted}, not {value[:_SHOWN_CHARS]!r}")


def trace_number(text: str) -> int:
    """The trace id of Jaeger that *text* is."""
    if not _TRACE_ID.fullmatch(text):
        raise malformed("traceID", text, "1 to 32 hexadecimal digits")
    return int(text, 16)


class Parameters:
    """The parameters in *query_string*."""

    def __init__(self, query_string: str) -> None:
        try:
            self._values = parse_qs(query_string, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, f"more than {_MOST_FIELDS} parameters") from None

    def text(self, name: str) -> str:
        """The first value of *name*; "" without one."""
        return self.texts(name)[0] if name in self._values else ""

    def texts(self, name: str) -> list[str]:
        """All values of *name*."""
        return self._values.get(name, [])

    def query_with(self, /, **changed: object) -> str:
        """The query string with other values for the parameters *changed*."""
        values = self._values | {name: [str(value)] for name, value in changed.items()}
        return urlencode([(name, each) for name, texts in values.items() for each in texts if each])

    def named(self, *names: str) -> str:
        """The first of *names* that has a value; the last one if none has."""
        return next((name for name in names if self.text(name)), names[-1])

    def integer(self, name: str, default: int) -> int:
        """The value of *name* as an integer."""
        text = self.text(name)
        if text and not _INTEGER.fullmatch(text):
            raise malformed(name, text, "an integer")
        return int(text) if text else default

    def number(self, name: str) -> float:
        """The value of *name* as a number. There is no default."""
        text = self.text(name)
        try:
            return float(text)
        except ValueError:
            raise malformed(name, text, "a number") from None

    def boolean(self, name: str) -> bool:
        """The value of *name* as a boolean; False without one."""
        text = self.text(name)
        if text and text not in _BOOLEANS:
            raise malformed(name, text, "true or false")
        return _BOOLEANS[text] if text else False

    def duration_ns(self, name: str) -> int:
        """The value of *name*, a duration of Go, in nanoseconds; 0 without one."""
        text = self.text(name)
        digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
        if digits in ("", "0") and digits == text:
            return 0
        parts = _PART.findall(digits)
        if not parts or "".join(number + unit for number, unit in parts) != digits:
            raise malformed(name, text, "a duration with its unit like 250ms, 1.5s or 2h")
        total = int(sum(Decimal(number) * _UNITS_NS[unit] for number, unit in parts))
        return -total if text.startswith("-") else total

    def time_ns(self, name: str) -> int:
        """The value of *name*, a time of RFC 3339, in nanoseconds since the epoch."""
        text = self.text(name)
        match = _TIME.fullmatch(text)
        try:
            second, fraction, zone = match.groups() if match else ("", None, "")
            at = datetime.datetime.fromisoformat(second + zone.replace("Z", "+00:00"))
        except ValueError:
            raise malformed(name, text, "a time like 2026-01-31T23:59:59.999Z") from None
        return int(at.timestamp()) * 1_000_000_000 + int((fraction or ".0")[1:].ljust(9, "0"))

    def tags(self) -> tuple[tuple[str, str], ...]:
        """The tags that ``tag=key:value`` and ``tags={"key": "value"}`` name; a later value replaces an earlier one."""
        named: dict[str, str] = {}
        for text in self.texts("tag"):
            key, colon, value = text.partition(":")
            if not colon:
                raise malformed("tag", text, "key:value")
            named[key] = value
        return tuple((named | self.object("tags")).items())

    def object(self, name: str) -> dict[str, str]:
        """The values of *name*, JSON objects of texts, as one; a later value of a key replaces an earlier one."""
        merged: dict[str, str] = {}
        for text in self.texts(name):
            try:
                given = json.loads(text)
            except (ValueError, RecursionError):
                given = None
            if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
                raise malformed(name, text, "a JSON object of texts")
            merged.update(given)
        return merged
