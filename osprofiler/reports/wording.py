# SPDX-License-Identifier: Apache-2.0
"""The texts of reports: durations, descriptions of spans, counts of a trace.

Text from traces is untrusted. The functions here remove control characters from it.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from osprofiler.records import semconv
from osprofiler.reports.model import SpanNode, Trace

_DETAIL_CHARS = 200
_MESSAGE_CHARS = 1000
_OPERATION_CHARS = 100  # of an operation in front of a message
#: Ports that are not shown: the scheme implies them.
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


class Failure(NamedTuple):
    """A span that failed."""

    place: str  # the service; "" if unknown
    operation: str
    text: str  # the kind and the message of the error


def one_line(text: object) -> str:
    """*text* on one line, without characters that control a terminal or change the direction of writing."""
    line = str(text)
    if line.isascii() and line.isprintable():
        return line
    return " ".join("".join(" " if unicodedata.category(char) in _UNSAFE else char for char in line).split())


# Categories: controls, formats (with bidirectional overrides), surrogates, line and paragraph separators.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def duration(us: int) -> str:
    """Microseconds for people: ``87 us``, ``1.25 ms``, ``3.402 s``, ``2 min 5 s``."""
    if us < 1_000:
        return f"{us} us"
    if us < 1_000_000:
        return f"{us / 1_000:.2f} ms"
    if us < 60_000_000:
        return f"{us / 1_000_000:.3f} s"
    return f"{us // 60_000_000} min {us % 60_000_000 // 1_000_000} s"


def detail(span: SpanNode) -> str:
    """A detail that the operation does not show: a path, a statement, a topic; "" if unknown."""
    for key, names in _DETAILS:
        info = span.start_info.get(key)
        if info is not None and isinstance(info, Mapping):
            text = "".join(_part(info, name) for name in names)
            if text and text != span.operation:
                return _without_repetition(span.operation, text)
    for tag in ("http.url", "db.statement", "message_bus.destination"):
        if tag in span.tags:
            return _without_repetition(span.operation, str(span.tags[tag]))
    return ""


def _without_repetition(operation: str, text: str) -> str:
    """*text* without its first word if *operation* ends with it: after "db INSERT" only "INTO volumes"."""
    text = one_line(text[:_DETAIL_CHARS])
    first, _, rest = text.partition(" ")
    return rest if operation.upper().endswith(f" {first.upper()}") else text


#: Keys of ``info``, and the entries below a key that make up the detail.
_DETAILS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("request", ("path",)),
    ("requests", ("hostname", "port", "path")),
    ("db", ("statement",)),
    ("function", ("name",)),
)


def _part(info: Mapping[str, Any], name: str) -> str:
    value = info.get(name)
    if not isinstance(value, (str, int)):
        return ""
    if name == "port":
        return "" if not value or (info.get("scheme"), str(value)) in _DEFAULT_PORTS else f":{value}"
    return str(value)


def http_status(span: SpanNode) -> int | None:
    """The status of an HTTP response; None if unknown."""
    values = [span.tags.get(tag) for tag in _STATUS_TAGS]
    for key in _STATUS_INFO:
        info = span.stop_info.get(key)
        if isinstance(info, Mapping):
            values += [info.get("status_code"), info.get("status")]
    return next((int(str(value)) for value in values if str(value).isdecimal() and len(str(value)) == 3), None)


_STATUS_TAGS = ("http.status_code", "http.response.status_code")  # OpenTracing's, and OpenTelemetry's today
_STATUS_INFO = ("requests", "response")


def tag(span: SpanNode, name: str) -> str | None:
    """The tag *name* of a span as text, ``true`` or ``false`` for a boolean; None if the span has no such tag.

    As in Jaeger, the semantic conventions' tags for the info of the span count too.
    """
    value = span.tags[name] if name in span.tags else conventions(span).get(name)
    return str(value).lower() if isinstance(value, bool) else value if value is None else str(value)


def conventions(span: SpanNode) -> dict[str, Any]:
    """The semantic conventions' tags for the info of *span*."""
    return {} if semconv.SHAPES.isdisjoint(span.start_info) else dict(semconv.tags(span.start_info))


def message(span: SpanNode) -> str:
    """The message of a failed span's error, on one line; "" if it has none."""
    values = [span.stop_info.get("message"), *(span.tags.get(tag) for tag in _MESSAGE_TAGS)]
    for log in reversed(span.logs):
        if log.fields.get("event") in ("error", "exception") or "error.object" in log.fields:
            values += [log.fields.get(name) for name in _MESSAGE_FIELDS]
    return next((one_line(str(value)[:_MESSAGE_CHARS]) for value in values if value), "")


# Names of OpenTracing's conventions, of OpenTelemetry's, and of Jaeger's clients for other languages.
_MESSAGE_TAGS = ("otel.status_description", "error.message", "exception.message")
_MESSAGE_FIELDS = ("message", "exception.message", "error.object", "error.kind", "exception.type")


def failures(trace: Trace) -> list[Failure]:
    """The failures of *trace*, in the order of its spans.

    An error that passed through several spans is listed once, for the lowest of them.
    """
    failed = []
    for _, span in trace.walk():
        if span.error:
            error = (span.error, message(span))
            if not any((child.error, message(child)) == error for child in span.children):
                kind, why = one_line(span.error), error[1]
                text = why if why and kind == "error" else f"{kind}: {why}" if why else kind
                failed.append(Failure(place(span), one_line(span.operation[:_OPERATION_CHARS]), text))
    return failed


def badges(span: SpanNode) -> list[str]:
    """Short labels that a report shows after the name of the span: error, HTTP status, unfinished, joins."""
    labels = []
    if span.error:
        labels.append("error" if span.error == "error" else f"error {one_line(span.error)}")
    status = http_status(span)
    if status is not None and status >= 400:
        labels.append(f"HTTP {status}")
    labels.extend(missing(span))
    if span.detached:
        labels.append("follows from")
    if span.links:
        labels.append(f"joins {len(span.links)}")
    labels.extend(f"{count} {fate.replace('_', ' ')}" for fate, count in span.fates.items())
    return labels


def missing(span: SpanNode) -> list[str]:
    """Short labels for the parts of the span that are not in the store."""
    labels = []
    if not span.finished:
        labels.append("unfinished")
    if not span.has_start:
        labels.append("start lost")
    if span.parent_missing:
        labels.append("parent missing")
    return labels


def signed(us: int) -> str:
    """A change in microseconds, with its sign: ``+1.25 ms``."""
    return f"{'-' if us < 0 else '+'}{duration(abs(us))}"


def clocks(trace: Trace) -> str:
    """The corrections of the hosts' clocks, on one line; "" if there are none."""
    if not trace.skews:
        return ""
    hosts = ", ".join(f"{one_line(host)} {signed(us)}" for host, us in sorted(trace.skews.items()))
    return f"clocks disagree; corrected here: {hosts}"


def place(span: SpanNode) -> str:
    """The service of *span*; with the project in front if the service's name does not contain it."""
    return service_place(span.service or "", span.project or "")


@functools.lru_cache(1024)
def service_place(service: str, project: str) -> str:
    """The name of *service* of *project* as :func:`place` shows it; both may be empty."""
    if project and project not in service:
        return one_line(f"{project}-{service}" if service else project)
    return one_line(service)


def counts(trace: Trace) -> dict[str, Any]:
    """The counts of a trace. ``missing`` counts parents, ``unreadable`` counts records."""
    spans = trace.spans.values()
    return {
        "spans": len(spans),
        "services": len({place(span) for span in spans} - {""}),
        "errors": sum(span.error is not None for span in spans),
        "unfinished": sum(not span.finished for span in spans),
        "detached": sum(span.detached for span in spans),
        "missing": sum(span.parent_missing for span in spans),
        "unreadable": trace.unreadable,
    }


def counted(count: int, noun: str) -> str:
    """*count* and *noun*, with an "s" if *count* is not 1."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def summary(trace: Trace) -> str:
    """The counts that are not zero, on one line."""
    number = counts(trace)
    words = [
        (number["spans"], "span", "spans"),
        (number["services"], "service", "services"),
        (number["errors"], "error", "errors"),
        (number["unfinished"], "unfinished", "unfinished"),
        (number["missing"], "missing parent", "missing parents"),
        (number["unreadable"], "unreadable record", "unreadable records"),
    ]
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in words if count)
