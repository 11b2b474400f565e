# SPDX-License-Identifier: Apache-2.0
"""What reading could not take as it is stored, counted and told: nothing is lost without a word.

Drivers and readers of files call :func:`skip` for what they leave out and :func:`note` for what they show otherwise
than it is stored. Who reads opens a ledger around it with :func:`collected`; ledgers nest. The command line tells what
they took with :func:`told`; without that the process's log has it, a line a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from osprofiler._runtime import guard
from osprofiler.records.record import Unreadable

T = TypeVar("T")

#: How many lines name what it was; the rest is counted.
MOST_NAMED = 5
_LINE_CHARS = 300


class Ledger:
    """What was told while it was open, each thing once."""

    def __init__(self) -> None:
        self.skipped = 0  # things left out
        self._named: list[str] = []
        self._seen: set[int] = set()

    def add(self, key: int, line: str, skipped: bool) -> None:
        """Take *line*, unless its *key* is there already: a store may be listed first and read then."""
        if key in self._seen:
            return
        self._seen.add(key)
        self.skipped += skipped
        if len(self._named) < MOST_NAMED:
            self._named.append(line)

    def lines(self) -> Iterator[str]:
        """The first of them, and how many more there are."""
        yield from self._named
        more = len(self._seen) - len(self._named)
        if more:
            yield f"and {more:,} more of this kind"


_ledgers: ContextVar[tuple[Ledger, ...]] = ContextVar("osprofiler_ledgers", default=())
_is_told: ContextVar[bool] = ContextVar("osprofiler_is_told", default=False)


@contextmanager
def collected() -> Iterator[Ledger]:
    """Open a ledger for the length of the block."""
    ledger = Ledger()
    token = _ledgers.set((*_ledgers.get(), ledger))
    try:
        yield ledger
    finally:
        _ledgers.reset(token)


@contextmanager
def told(tell: Callable[[str], None]) -> Iterator[None]:
    """Have *tell* called with each line of what was collected in the block, when it ends."""
    token = _is_told.set(True)
    try:
        with collected() as ledger:
            yield
    finally:
        _is_told.reset(token)
        for line in ledger.lines():
            tell(line)


def skip(where: str, which: str, why: object) -> None:
    """*which* thing in *where* (a store, without its password, or a file) is left out, and *why*."""
    _tell(f"{where}: {which} is left out: {why}", True)


def note(where: str, what: str) -> None:
    """*what* in *where* is shown otherwise than it is stored."""
    _tell(f"{where}: {what}", False)


def _tell(text: str, skipped: bool) -> None:
    # What is stored is anybody's: nothing that a terminal would act on, and no more than a line holds.
    line = "".join(char if char.isprintable() else " " for char in text[:_LINE_CHARS])
    for ledger in _ledgers.get():
        ledger.add(hash(text), line, skipped)
    if not _is_told.get():
        guard.count("unreadable")
        guard.warn_once("unreadable", "%s", line)


def readable(
    where: str, items: Iterable[T], read: Callable[[T], dict[str, Any]], name: Callable[[T], str]
) -> Iterator[dict[str, Any]]:
    """What *read* makes of *items*. One of which it raises Unreadable is left out, by its *name*."""
    for item in items:
        try:
            record = read(item)
        except Unreadable as why:
            skip(where, name(item), why)
        else:
            yield record
