# SPDX-License-Identifier: Apache-2.0
"""Whether the queue of spans is large enough."""

from __future__ import annotations

from collections.abc import Iterator

from osprofiler.delivery.queue import ENTRY_BYTES
from osprofiler.delivery.reporter import WAKE_AT
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig
from osprofiler.drivers import connect

#: The store may be away for so long, as when another node takes over, and no span is to be lost.
OUTAGE_S = 10.0

#: The text of a span that is assumed, in characters: a request has some hundred, an SQL statement some thousand.
SPAN_CHARS = 1_000


def check(config: ServiceConfig, rate: float | None) -> Iterator[Result]:
    """Whether the queue holds *rate* spans a second; without a rate, the rate that it holds."""
    entries_per_span = _entries_per_span(config.connection_string)
    spans_bound, bytes_bound = config.option("queue_spans"), config.option("queue_bytes")
    interval_s = config.option("flush_interval_s")
    by_count = spans_bound // entries_per_span
    by_bytes = bytes_bound // (entries_per_span * (ENTRY_BYTES + SPAN_CHARS))
    held = min(by_count, by_bytes)
    narrow = "queue_spans" if by_count <= by_bytes else "queue_bytes"
    holds = f"each process holds {held:,} spans of {SPAN_CHARS:,} characters ({narrow} = {config.option(narrow)})"
    values = {"spans": held, "bound": narrow, "rate": rate, "flush_interval_s": interval_s}
    # More than WAKE_AT entries end the wait for the interval. A smaller queue must hold all spans of one interval.
    most_rate = held / interval_s if held * entries_per_span <= WAKE_AT else None
    if rate is None:
        enough = min(held / OUTAGE_S, most_rate or held)
        text = f"{holds}: enough for {enough:,.0f} spans a second, with the store away for {OUTAGE_S:.0f} s"
        yield Result("queue", Status.OK, text, "give --rate to compare", values)
        return
    outage_s = held / rate
    values["outage_s"] = round(outage_s, 3)
    text = f"{holds}: {_seconds(outage_s)} of {rate:g} spans a second without the store"
    if most_rate is not None and rate > most_rate:
        text = f"{holds}: fewer than {rate:g} spans a second make in one flush_interval ({interval_s:g} s)"
        yield Result("queue", Status.FAIL, text, f"raise {narrow}, or lower flush_interval", values)
    elif outage_s < OUTAGE_S:
        yield Result("queue", Status.WARN, text, f"raise {narrow} to bridge {OUTAGE_S:.0f} s", values)
    else:
        yield Result("queue", Status.OK, text, values=values)


def _entries_per_span(connection_string: str) -> int:
    """A store of records gets a record at the start and one at the end of each span."""
    try:
        return 1 if connect.span_exporter(connection_string) is not None else 2
    except Exception:  # another check reports it
        return 2


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < 100 else f"{seconds:,.0f} s"
