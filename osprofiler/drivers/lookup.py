# SPDX-License-Identifier: Apache-2.0
"""Find the trace or span for an id that a user has typed or copied. All commands and stores use this module.

For a trace: its id in any notation of UUIDs, also in upper case and with blanks around it; Jaeger's 32 hexadecimal
digits, with or without leading zeros; a link to it in Jaeger's UI; the beginning of its id; its last 64 bits, as 16
digits or as the decimal number that osc-lib prints; or ``latest``. For a span: its id, the beginning of its id, or
Jaeger's 16 digits.
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
_DECIMAL = re.compile(r"[0-9]{15,20}", re.A)  # the length of nearly all random 64-bit numbers
_DASHES_AFTER = (8, 12, 16, 20)

#: The number of ids that a message lists if the given id is ambiguous.
_MOST_LISTED = 5

#: The newest trace is searched in the last hour, then the last day, then the last week, if the store can do so.
_STEPS_US = (3_600_000_000, 86_400_000_000, 604_800_000_000)


class Ambiguous(exc.CommandError):
    """The given id matches several traces or spans."""


class Given(NamedTuple):
    """The possible meanings of a text."""

    exact: list[str]  # ids, the most literal first
    prefixes: list[str]
    suffixes: list[str]

    def among(self, base_ids: Iterable[str]) -> list[str]:
        """The ids in *base_ids* that match: the one that is equal, or else all with a matching beginning or end."""
        known = dict.fromkeys(base_ids)
        for base_id in self.exact:
            if base_id in known:
                return [base_id]
        prefixes, suffixes = tuple(self.prefixes), tuple(self.suffixes)
        return [base_id for base_id in known if base_id.startswith(prefixes) or base_id.endswith(suffixes)]


def trace_id(text: str) -> Given:
    """The possible meanings of *text* as the id of a trace."""
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
    """Call *attempt* with the ids that *text* may mean, until it returns a true value. None if no trace matches.

    *attempt* returns a false value for an id that is not in the store of *driver*. Ids that only begin or end with
    *text* come last, because the store must be searched for them. Raises Ambiguous.
    """
    for base_id in _candidates(driver, text.strip()):
        result = attempt(base_id)
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
        matching = {base_id for part in parts for base_id in driver.find_ids(**part)}
        yield from only(text, sorted(matching - set(given.exact)))


def only(text: str, matching: Sequence[str]) -> Sequence[str]:
    """*matching*, the ids that match *text*, if these are one or none. Raises Ambiguous, whose one line lists them."""
    if len(matching) < 2:
        return matching
    more = f", and {len(matching) - _MOST_LISTED:,} more" if len(matching) > _MOST_LISTED else ""
    raise Ambiguous(f"{text!r} may be any of {', '.join(matching[:_MOST_LISTED])}{more}")


def latest(driver: Driver) -> Iterator[str]:
    """The id of the trace that began last; nothing if the store is empty."""
    now_us = time.time_ns() // 1000
    # A store that cannot search would list all of its traces in each step.
    steps = _STEPS_US if Can.SEARCH in driver.can else ()
    for since_us in (*(now_us - step for step in steps), None):
        newest = next(search.identified(driver, search.Wanted(since_us=since_us, limit=1)), None)
        if newest is not None:
            yield str(newest["base_id"])
            return


def span(trace: Trace, text: str) -> SpanNode | None:
    """The span of *trace* whose id *text* means; None if there is no such span. Raises Ambiguous."""
    text = text.strip()
    given = trace_id(text)
    span_ids = given._replace(suffixes=[]).among(trace.spans)
    if _DIGITS.fullmatch(text) and span_ids not in ([span_id] for span_id in given.exact):
        number = int(text, 16)
        span_ids = [span_id for span_id in trace.spans if ids.span_id_of(span_id) == number] or span_ids
    return next((trace.spans[span_id] for span_id in only(text, span_ids)), None)


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def _low_half(number: int) -> str:
    """The text of the last 64 bits of a UUID, *number*."""
    return f"-{number >> 48:04x}-{number & 0xFFFFFFFFFFFF:012x}"


def _dashed(text: str) -> str:
    """*text*, the beginning of a UUID, with the dashes of UUIDs."""
    digits = text.lower().replace("-", "")
    cuts = [cut for cut in _DASHES_AFTER if cut < len(digits)]
    return "-".join(digits[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(digits)], strict=True))
