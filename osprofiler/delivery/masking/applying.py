# SPDX-License-Identifier: Apache-2.0
"""Masking by the settings in force: of arguments in the caller, of entries when they leave the queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.delivery.masking.names import MASK
from osprofiler.delivery.masking.values import Masker
from osprofiler.delivery.queue import Entry, QueuedSpan, Recorded, Started

_made: tuple[tuple[Any, ...], Masker] | None = None


def masker() -> Masker | None:
    """The masker by the settings in force; None where these mask nothing."""
    global _made
    settings = config.current()
    if not settings.mask_secrets:
        return None
    wanted = (settings.mask_names, settings.mask_patterns)
    made = _made
    if made is None or made[0] != wanted:
        _made = made = (wanted, Masker(*wanted))
    return made[1]


def arguments(names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The positional arguments of a call whose parameters have *names*, without those that are called like secrets."""
    by = masker()
    if by is None or not (positions := by.names.positions(names)):
        return values
    return tuple(MASK if number in positions and item is not None else item for number, item in enumerate(values))


def is_secret(name: str) -> bool:
    """Whether what is called *name* is to be masked."""
    by = masker()
    return by is not None and by.names.is_secret(name)


def entries(entries: Iterable[Entry]) -> None:
    """Mask, in place, what leaves the process with *entries*: starts, spans that ended, records."""
    by = masker()
    if by is None:
        return
    for entry in entries:
        if isinstance(entry, Recorded):
            _record(by, entry.record)
        elif isinstance(entry, Started):
            _start(by, entry.span)
        else:
            _start(by, entry)
            _stop(by, entry)


def record(record: dict[str, Any]) -> dict[str, Any]:
    """*record*, masked in place."""
    by = masker()
    if by is not None:
        _record(by, record)
    return record


def _record(by: Masker, record: dict[str, Any]) -> None:
    name, info = record.get("name"), record.get("info")
    if type(name) is str:
        record["name"] = _name(by, name)
    if type(info) is dict:
        record["info"] = _info(by, info)


def _start(by: Masker, span: QueuedSpan) -> None:
    """What a span has from its start on; it may be open still, and is changed only where there is a secret."""
    operation = span.operation_name
    masked = _name(by, operation)
    if masked is not operation:
        span.set_operation_name(masked)
    name = span.name
    if name is not None and (masked := _name(by, name)) is not name:
        span.name = masked
    if span.start_info:
        span.start_info = _info(by, span.start_info)


def _stop(by: Masker, span: QueuedSpan) -> None:
    if span.stop_info:
        span.stop_info = _info(by, span.stop_info)
    if span.own_tags:
        span.own_tags = _info(by, span.own_tags)
    if span.own_logs:
        span.own_logs = [(at_us, _info(by, fields)) for at_us, fields in span.own_logs]


def _name(by: Masker, name: str) -> str:
    try:
        return by.text(name)
    except Exception as fault:
        guard.swallow("mask", fault)
        return MASK


def _info(by: Masker, info: dict[str, Any]) -> dict[str, Any]:
    """*info* without secrets; one that cannot be looked at is left out as a whole."""
    try:
        db = info.get("db")
        if type(db) is dict and "statement" in db:
            info = {**info, "db": by.statement(db)}
        return by.mapping(info)
    except Exception as fault:
        guard.swallow("mask", fault)
        return {"unmaskable": type(fault).__name__}
