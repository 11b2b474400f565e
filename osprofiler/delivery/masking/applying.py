# SPDX-License-Identifier: Apache-2.0
"""Masking of entries when they leave the queue, by the current settings."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.delivery.masking.names import MASK
from osprofiler.delivery.masking.values import Masker
from osprofiler.delivery.queue import Entry, QueuedSpan, Recorded, Started

_masker_by = functools.lru_cache(1)(Masker)


def masker() -> Masker | None:
    """The masker by the current settings; None if they mask nothing."""
    settings = config.current()
    return _masker_by(settings.mask_names, settings.mask_patterns) if settings.mask_secrets else None


def entries(entries: Iterable[Entry]) -> None:
    """Mask in place the spans and records of *entries*."""
    current = masker()
    if current is None:
        return
    for entry in entries:
        if isinstance(entry, Recorded):
            _mask_record(current, entry.record)
        elif isinstance(entry, Started):
            _mask_start(current, entry.span)
        else:
            _mask_start(current, entry)
            _mask_stop(current, entry)


def record(record: dict[str, Any]) -> dict[str, Any]:
    """*record*, masked in place."""
    current = masker()
    if current is not None:
        _mask_record(current, record)
    return record


def _mask_record(masker: Masker, record: dict[str, Any]) -> None:
    name, info = record.get("name"), record.get("info")
    if type(name) is str:
        record["name"] = _name(masker, name)
    if type(info) is dict:
        record["info"] = _info(masker, info)


def _mask_start(masker: Masker, span: QueuedSpan) -> None:
    """Mask the fields that a span has from its start on. It may be open, so change only a field with a secret."""
    plain = masker.plain  # nearly all names are known
    operation, name = span.operation_name, span.name
    if operation not in plain and (masked := _name(masker, operation)) is not operation:
        span.set_operation_name(masked)
    if name is not None and name not in plain and (masked := _name(masker, name)) is not name:
        span.name = masked
    if span.start_info:
        span.start_info = _info(masker, span.start_info)


def _mask_stop(masker: Masker, span: QueuedSpan) -> None:
    if span.stop_info:
        span.stop_info = _info(masker, span.stop_info)
    if span.own_tags:
        span.own_tags = _info(masker, span.own_tags)
    if span.own_logs:
        span.own_logs = [(at_us, _info(masker, fields)) for at_us, fields in span.own_logs]


def _name(masker: Masker, name: str) -> str:
    try:
        return masker.text(name)
    except Exception as fault:
        guard.swallow("mask", fault)
        return MASK


def _info(masker: Masker, info: dict[str, Any]) -> dict[str, Any]:
    """*info* without secrets. If masking fails, all of it is left out."""
    try:
        db = info.get("db")
        if type(db) is dict and "statement" in db:
            info = {**info, "db": masker.statement(db)}
        return masker.mapping(info)
    except Exception as fault:
        guard.swallow("mask", fault)
        return {"unmaskable": type(fault).__name__}
