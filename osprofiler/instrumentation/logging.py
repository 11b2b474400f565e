# SPDX-License-Identifier: Apache-2.0
"""Python's logging, and oslo.log on top of it: each record knows its trace, and some become logs of the current span.

A record gets the attributes ``trace_id`` and ``span_id`` on its way from its logger to the handlers, so any formatter
can show them. They are set there and not by a record factory, because a factory that sets an attribute makes
``logger.info(..., extra={"trace_id": ...})`` of a service raise KeyError.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current, faults
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import text

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

#: The value of both attributes where no trace is recorded.
NONE = "-"

#: How many records one span keeps. Further ones are counted as ``cut.log_records``.
MAX_RECORDS = 128

#: Characters kept of the message of a record.
MAX_MESSAGE_CHARS = 4096

_OWN = "osprofiler"
_OWN_PREFIX = f"{_OWN}."


def _handle(original: Method) -> Method:
    def handle(self: logging.Logger, record: logging.LogRecord) -> Any:
        try:
            _correlate(record)
        except Exception as fault:
            guard.swallow("logging", fault)
        return original(self, record)

    return handle


wrapping = Wrapping(Target("logging", "Logger", "handle", _handle))

instrument = wrapping.install
uninstrument = wrapping.uninstall


def _correlate(record: logging.LogRecord) -> None:
    """Set the ids of the current point on *record*; what its logger's caller has set under these names stays."""
    here, attributes = current.point.get(), record.__dict__
    if here is None or not here.origin.flags & SAMPLED:
        attributes.setdefault("trace_id", NONE)
        attributes.setdefault("span_id", NONE)
        return
    span = here.span  # one of ours: the origin of another tracer's is not sampled
    attributes.setdefault("trace_id", f"{here.origin.trace_id:032x}")
    attributes.setdefault("span_id", NONE if span is None else f"{span.span_id:016x}")
    # The JSON formatter of oslo.log shows the attributes that are named here.
    attributes["extra_keys"] = [*attributes.get("extra_keys", ()), "trace_id", "span_id"]
    level = config.current().log_records
    if level and record.levelno >= level and span is not None and not _is_ours(record.name):
        _add(span, record)


def _is_ours(logger: str) -> bool:
    return logger == _OWN or logger.startswith(_OWN_PREFIX)


def _add(span: Span, record: logging.LogRecord) -> None:
    """Add *record* to *span* as a log. Secrets in it are masked when the span is delivered, as in any other log."""
    if len(span.own_logs) >= MAX_RECORDS:
        guard.count("cut.log_records")
        return
    fields = {"event": "log", "level": record.levelname, "logger": record.name, "message": _message(record)}
    fault = record.exc_info[1] if record.exc_info else None
    if fault is not None:
        fields["error.kind"] = faults.class_name(type(fault))
        fields["stack"] = faults.stack(fault, text(fault, faults.MAX_MESSAGE_CHARS), None)
    span.log_kv(fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return text(record.getMessage(), MAX_MESSAGE_CHARS)
    except Exception:  # the arguments do not fit the message; the service's own handlers report that
        return text(record.msg, MAX_MESSAGE_CHARS)
