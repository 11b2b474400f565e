# SPDX-License-Identifier: Apache-2.0
"""How reports put a trace into words: durations, the gist of a span, the counts of a trace.

Text from traces is untrusted: what leaves here for a terminal or a graph has no control characters.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from osprofiler.reports.model import SpanNode, Trace

_DETAIL_CHARS = 200
_MESSAGE_CHARS = 1000
_OPERATION_CHARS = 100  # before a message
#: Where a port says no more than the scheme.
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


class Failure(NamedTuple):
    """A span that failed, in words."""

    place: str  # the service; "" where none is known
    operation: str
    text: str  # its kind and message


def one_line(text: object) -> str:
    """*text* on one line, without anything that a terminal would act on or that would turn the line around."""
    kept = str(text)
    if kept.isascii() and kept.isprintable():
        return kept
    return " ".join("".join(" " if unicodedata.category(char) in _UNSAFE else char for char in kept).split())


# Controls, formats (bidirectional overrides among them), surrogates, and what breaks lines.
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
    """What this span is about, beyond its operation: a path, a statement, a topic; "" if nothing is known."""
    for key, parts in _GIST:
        found = span.start_info.get(key)
        if found is not None and isinstance(found, Mapping):
            text = "".join(_part(found, part) for part in parts)
            if text and text != span.operation:
                return _beyond(span.operation, text)
    for tag in ("http.url", "db.statement", "message_bus.destination"):
        if tag in span.tags:
            return _beyond(span.operation, str(span.tags[tag]))
    return ""


def _beyond(operation: str, text: str) -> str:
    """*text* without a first word that *operation* ends with: "db INSERT" is followed by "INTO volumes"."""
    text = one_line(text[:_DETAIL_CHARS])
    first, _, rest = text.partition(" ")
    return rest if rest and operation.upper().endswith(f" {first.upper()}") else text


_GIST: tuple[tuple[str, tuple[str, ...]], ...] = (
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
    """The status that an HTTP request was answered with; None where none is known."""
    said = [span.tags.get(tag) for tag in _STATUS_TAGS]
    for key in _STATUS_INFO:
        info = span.stop_info.get(key)
        if isinstance(info, Mapping):
            said += [info.get("status_code"), info.get("status")]
    return next((int(str(value)) for value in said if str(value).isdecimal() and len(str(value)) == 3), None)


_STATUS_TAGS = ("http.status_code", "http.response.status_code")  # OpenTracing's, and OpenTelemetry's of today
_STATUS_INFO = ("requests", "response")


def message(span: SpanNode) -> str:
    """What a failed span says of its error, on one line; "" if it says nothing."""
    said = [span.stop_info.get("message"), *(span.tags.get(tag) for tag in _MESSAGE_TAGS)]
    for log in reversed(span.logs):
        if log.fields.get("event") in ("error", "exception") or "error.object" in log.fields:
            said += [log.fields.get(name) for name in _MESSAGE_FIELDS]
    return next((one_line(str(text)[:_MESSAGE_CHARS]) for text in said if text), "")


# OpenTracing's conventions, OpenTelemetry's, and what Jaeger's clients for other languages write.
_MESSAGE_TAGS = ("otel.status_description", "error.message", "exception.message")
_MESSAGE_FIELDS = ("message", "exception.message", "error.object", "error.kind", "exception.type")


def failures(trace: Trace) -> list[Failure]:
    """What failed, as the spans are ordered: of an error that went through several spans only where it came from."""
    found = []
    for _, span in trace.walk():
        if span.error:
            same = (span.error, message(span))
            if not any((child.error, message(child)) == same for child in span.children):
                kind, said = one_line(span.error), same[1]
                text = said if said and kind == "error" else f"{kind}: {said}" if said else kind
                found.append(Failure(place(span), one_line(span.operation[:_OPERATION_CHARS]), text))
    return found


def badges(span: SpanNode) -> list[str]:
    """What a reader must not miss about this span, in a word or two each."""
    found = []
    if span.error:
        found.append("error" if span.error == "error" else f"error {one_line(span.error)}")
    status = http_status(span)
    if status is not None and status >= 400:
        found.append(f"HTTP {status}")
    found.extend(missing(span))
    if span.detached:
        found.append("follows from")
    if span.links:
        found.append(f"joins {len(span.links)}")
    found.extend(f"{count} {fate.replace('_', ' ')}" for fate, count in span.fates.items())
    return found


def missing(span: SpanNode) -> list[str]:
    """What of this span is not in the store, in a word or two each."""
    found = []
    if not span.finished:
        found.append("unfinished")
    if not span.has_start:
        found.append("start lost")
    if span.parent_missing:
        found.append("parent missing")
    return found


def signed(us: int) -> str:
    """A change in microseconds, with its sign: ``+1.25 ms``."""
    return f"{'-' if us < 0 else '+'}{duration(abs(us))}"


def clocks(trace: Trace) -> str:
    """By how much the clocks of hosts have been corrected, in one line; "" if none had to be."""
    if not trace.skews:
        return ""
    hosts = ", ".join(f"{one_line(host)} {signed(us)}" for host, us in sorted(trace.skews.items()))
    return f"clocks disagree; corrected here: {hosts}"


def place(span: SpanNode) -> str:
    """Whose span it is: the service, prefixed with the project where that says more."""
    return _place(span.service or "", span.project or "")


@functools.lru_cache(1024)
def _place(service: str, project: str) -> str:
    if project and project not in service:
        return one_line(f"{project}-{service}" if service else project)
    return one_line(service)


def counts(trace: Trace) -> dict[str, Any]:
    """How many there are of each, by the names below; ``missing`` are parents, ``unreadable`` records."""
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


def summary(trace: Trace) -> str:
    """The counts that are not zero, in one line."""
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
