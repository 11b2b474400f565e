# SPDX-License-Identifier: Apache-2.0
"""Ids as people have them, and what they stand for: the one place that decides it, for every command and store.

Of a trace: its id in any notation of UUIDs, in upper case, with blanks around; Jaeger's 32 hexadecimal digits, with or
without leading zeros; a link to it in Jaeger's UI; its beginning; its last 64 bits, as 16 digits or as the decimal
number that osc-lib prints; ``latest``. Of a span: its id, its beginning, or Jaeger's 16 digits.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from osprofiler import exc
from osprofiler.drivers import search
from osprofiler.drivers.abilities import Can
from osprofiler.records import ids
from osprofiler.reports.model import SpanNode, Trace

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver

T = TypeVar("T")

LATEST = "latest"

_LINK = re.compile(r"/traces?/([0-9a-f]{1,32})(?![0-9a-f])", re.I | re.A)
_DIGITS = re.compile(r"[0-9a-f]{1,32}", re.I | re.A)
_DASHED = re.compile(r"[0-9a-f]+(-[0-9a-f]*)*", re.I | re.A)
_DECIMAL = re.compile(r"[0-9]{15,20}", re.A)  # nearly all of 64 random bits
_DASHES_AFTER = (8, 12, 16, 20)

#: How many of the ids that were not unambiguous are listed.
_MOST_LISTED = 5

#: How far back the newest trace is looked for, step by step, in stores that can look at a part.
_STEPS_US = (3_600_000_000, 86_400_000_000, 604_800_000_000)


class Ambiguous(exc.CommandError):
    """Several traces, or spans, are what was given."""


class Given(NamedTuple):
    """What a text may stand for."""

    exact: list[str]  # ids, the most literal first
    prefixes: list[str]
    suffixes: list[str]

    def among(self, base_ids: Iterable[str]) -> list[str]:
        """Those of *base_ids* that it may stand for: one that it names exactly, else all that fit in part."""
        known = dict.fromkeys(base_ids)
        for one in self.exact:
            if one in known:
                return [one]
        parts = tuple(self.prefixes), tuple(self.suffixes)
        return [one for one in known if one.startswith(parts[0]) or one.endswith(parts[1])]


def trace_id(text: str) -> Given:
    """What *text* may be the id of."""
    text = text.strip()
    link = _LINK.search(text) if "/" in text else None
    text = link[1] if link else text
    whole = _uuid(text)
    if whole:
        return Given(list(dict.fromkeys((text, whole))), [], [])
    exact, prefixes, suffixes = [text], [text] if text else [], []
    if _DIGITS.fullmatch(text):  # Jaeger leaves out leading zeros
        exact.append(ids.uuid_text(int(text, 16)))
        suffixes += [_low_half(int(text, 16))] if len(text) == 16 else []
    if _DASHED.fullmatch(text):
        prefixes.append(_dashed(text))
    if _DECIMAL.fullmatch(text) and int(text) < 1 << 64:
        suffixes.append(_low_half(int(text)))
    return Given(exact, list(dict.fromkeys(prefixes)), suffixes)


def find(driver: Driver, text: str, attempt: Callable[[str], T | None]) -> T | None:
    """What *attempt* gives for the id that *text* stands for in *driver*'s store; None where there is no such trace.

    *attempt* is asked for each id that it may be, and gives something false for one that is not there. Only then the
    store is asked for ids that it may be a part of. Raises Ambiguous.
    """
    for one in _candidates(driver, text.strip()):
        result = attempt(one)
        if result:
            return result
    return None


def _candidates(driver: Driver, text: str) -> Iterator[str]:
    if text == LATEST:
        yield from latest(driver)
        return
    given = trace_id(text)
    yield from given.exact
    parts = [{"prefix": prefix} for prefix in given.prefixes] + [{"suffix": suffix} for suffix in given.suffixes]
    if Can.LIST in driver.can:
        fitting = {one for part in parts for one in driver.find_ids(**part)}
        yield from only(text, sorted(fitting - set(given.exact)))


def only(text: str, fitting: Sequence[str]) -> Sequence[str]:
    """*fitting*, where that is one id or none. Raises Ambiguous, whose one line lists them."""
    if len(fitting) < 2:
        return fitting
    more = f", and {len(fitting) - _MOST_LISTED:,} more" if len(fitting) > _MOST_LISTED else ""
    raise Ambiguous(f"{text!r} may be any of {', '.join(fitting[:_MOST_LISTED])}{more}")


def latest(driver: Driver) -> Iterator[str]:
    """The id of the trace that began last; nothing in an empty store."""
    now_us = time.time_ns() // 1000
    # Without a way of its own a store would list all of its traces each time.
    steps = _STEPS_US if Can.SEARCH in driver.can else ()
    for since_us in (*(now_us - step for step in steps), None):
        newest = search.identified(driver, search.Wanted(since_us=since_us))
        if newest:
            yield str(newest[-1]["base_id"])
            return


def span(trace: Trace, text: str) -> SpanNode | None:
    """The span of *trace* that *text* stands for; None where there is none. Raises Ambiguous."""
    text = text.strip()
    given = trace_id(text)
    span_ids = given._replace(suffixes=[]).among(trace.spans)
    if _DIGITS.fullmatch(text) and span_ids not in ([one] for one in given.exact):
        number = int(text, 16)
        span_ids = [one for one in trace.spans if ids.span_id_of(one) == number] or span_ids
    return next((trace.spans[one] for one in only(text, span_ids)), None)


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _low_half(number: int) -> str:
    """The end of a UUID whose last 64 bits are *number*."""
    return f"-{number >> 48:04x}-{number & 0xFFFFFFFFFFFF:012x}"


def _dashed(text: str) -> str:
    """*text*, the beginning of a UUID, with the dashes where UUIDs have them."""
    digits = text.lower().replace("-", "")
    cuts = [cut for cut in _DASHES_AFTER if cut < len(digits)]
    return "-".join(digits[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(digits)], strict=True))
