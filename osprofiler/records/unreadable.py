# SPDX-License-Identifier: Apache-2.0
"""Counts and reports items of a store or file that cannot be read as they are, so that nothing is lost in silence.

Drivers and readers of files call :func:`skip` for an item that they leave out, and :func:`note` for an item that they
change. A caller may open a ledger with :func:`collected`; ledgers nest. The command line prints the lines of a ledger
with :func:`told`. Otherwise they go to the log, at most one a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from osprofiler._runtime import guard
from osprofiler.records.record import Unreadable

T = TypeVar("T")

#: How many lines are kept. Further ones are counted.
MOST_NAMED = 5
_LINE_CHARS = 300


class Ledger:
    """The different lines that were reported while it was open."""

    def __init__(self) -> None:
        self.skipped = 0  # items left out
        self._named: list[str] = []
        self._seen: set[int] = set()

    def add(self, key: int, line: str, skipped: bool) -> None:
        """Add *line*, unless its *key* was added before: a store may be listed first and then read."""
        if key in self._seen:
            return
        self._seen.add(key)
        self.skipped += skipped
        if len(self._named) < MOST_NAMED:
            self._named.append(line)

    def lines(self) -> Iterator[str]:
        """The first lines, and how many more there are."""
        yield from self._named
        more = len(self._seen) - len(self._named)
        if more:
            yield f"and {more:,} more of this kind"


_ledgers: ContextVar[tuple[Ledger, ...]] = ContextVar("osprofiler_ledgers", default=())
_is_told: ContextVar[bool] = ContextVar("osprofiler_is_told", default=False)


@contextmanager
def collected() -> Iterator[Ledger]:
    """Open a ledger for the block."""
    ledger = Ledger()
    token = _ledgers.set((*_ledgers.get(), ledger))
    try:
        yield ledger
    finally:
        _ledgers.reset(token)


@contextmanager
def told(tell: Callable[[str], None]) -> Iterator[None]:
    """Open a ledger for the block. At its end call *tell* with each line."""
    token = _is_told.set(True)
    try:
        with collected() as ledger:
            yield
    finally:
        _is_told.reset(token)
        for line in ledger.lines():
            tell(line)


def skip(where: str, which: str, why: object) -> None:
    """Report that item *which* of *where* (a store, without its password, or a file) is left out, and *why*."""
    _report(f"{where}: {which} is left out: {why}", True)


def note(where: str, text: str) -> None:
    """Report that an item of *where* is not shown as it is stored; *text* says how."""
    _report(f"{where}: {text}", False)


def pass_on(lines: Iterable[str]) -> None:
    """Report *lines* of the ledger of another process."""
    for line in lines:
        _report(line, True)


def _report(text: str, skipped: bool) -> None:
    # Anybody may have written the item: print no control characters, and not more than a line.
    line = "".join(char if char.isprintable() else " " for char in text[:_LINE_CHARS])
    for ledger in _ledgers.get():
        ledger.add(hash(text), line, skipped)
    if not _is_told.get():
        guard.count("unreadable")
        guard.warn_once("unreadable", "%s", line)


def readable(
    where: str, items: Iterable[T], read: Callable[[T], dict[str, Any]], name: Callable[[T], str]
) -> Iterator[dict[str, Any]]:
    """The results of *read* for *items*. An item for which it raises Unreadable is skipped, under its *name*."""
    for item in items:
        try:
            record = read(item)
        except Unreadable as why:
            skip(where, name(item), why)
        else:
            yield record
