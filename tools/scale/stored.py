# SPDX-License-Identifier: Apache-2.0
"""What the index holds of a feed: counted by the index, and whole traces as the query service returns them."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.scale import feed
from tools.scale.roles import PREFIX
from tools.scale.shape import Feed, Span

SPANS = f"{PREFIX}-jaeger-span-*"

_PAGE = 5_000  # traces in one response
_TIMEOUT_S = 300.0
# The machine's proxy settings are not for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoAnswer(Exception):
    """The index or the query service does not answer, or refuses; *status* is that of HTTP, 0 without one."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Index:
    """The indices at *url*."""

    def __init__(self, url: str) -> None:
        self._url = url

    def count(self) -> int:
        """Return how many documents are spans, and can be found."""
        try:
            return int(self.ask("GET", f"{SPANS}/_count")["count"])
        except NoAnswer as fault:
            if fault.status in (404, 503):  # an index is not there yet, or is being made
                return 0
            raise

    def bytes_on_disk(self) -> int:
        """Return the size of the indices of spans, after the index has merged its segments."""
        self.ask("POST", f"{SPANS}/_forcemerge?max_num_segments=1")
        stats = self.ask("GET", f"{SPANS}/_stats/store")
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

    def traces(self, spans: int) -> Iterator[tuple[str, int, int]]:
        """Return of each trace its id, the number of its documents, and how many different spans they are.

        Up to twice *spans* in a trace are counted exactly.
        """
        sources = [{"trace": {"terms": {"field": "traceID"}}}]
        by_trace: dict[str, Any] = {"size": _PAGE, "sources": sources}
        different = {"cardinality": {"field": "spanID", "precision_threshold": min(2 * spans, 40_000)}}
        while True:
            query = {"traces": {"composite": by_trace, "aggregations": {"spans": different}}}
            page = self.ask("POST", f"{SPANS}/_search", {"size": 0, "aggregations": query})["aggregations"]["traces"]
            for bucket in page["buckets"]:
                yield bucket["key"]["trace"], bucket["doc_count"], bucket["spans"]["value"]
            if "after_key" not in page:
                return
            by_trace["after"] = page["after_key"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of the response."""
        return _ask(method, f"{self._url}/{path}", body)


@dataclass(frozen=True)
class Census:
    """How much of a feed is in the index."""

    traces: int  # of the feed that are there
    whole: int  # with each of their spans
    spans: int  # different ones, of traces of the feed
    doubled: int  # documents that repeat a span: Kafka delivers at least once
    foreign: int  # traces that are not of the feed


def census(index: Index, trace_ids: Sequence[str], spans_a_trace: int) -> Census:
    """Count the traces and spans of a feed whose traces have these ids."""
    missing = set(trace_ids)
    whole = spans = doubled = foreign = 0
    for trace_id, documents, different in index.traces(spans_a_trace):
        if trace_id not in missing:
            foreign += 1
            continue
        missing.remove(trace_id)
        whole += different == spans_a_trace
        spans += different
        doubled += documents - different
    return Census(len(trace_ids) - len(missing), whole, spans, doubled, foreign)


def sample(query_url: str, feeds: Sequence[Feed], trace_ids: Sequence[Sequence[str]], count: int) -> list[str]:
    """Read *count* traces by chance from the query service, and compare each span with what was made.

    *trace_ids* are those of each feed, by number. Returns what differs, one line for each trace.
    """
    all_traces = [(each, number) for each in feeds for number in range(each.traces)]
    chosen = random.Random(0).sample(all_traces, min(count, len(all_traces)))
    lines = ((trace_ids[each.process][number], each, number) for each, number in chosen)
    return [
        f"trace {trace_id}: {why}"
        for trace_id, each, number in lines
        if (why := _difference(query_url, trace_id, each, number, len(feeds)))
    ]


def _difference(query_url: str, trace_id: str, each: Feed, number: int, processes: int) -> str:
    """Say how the stored trace differs from the one that was made; "" if it does not."""
    try:
        (trace,) = _ask("GET", f"{query_url}/api/traces/{trace_id}")["data"]
    except NoAnswer as fault:
        return str(fault)
    made = dict(enumerate(each.trace(number)))
    spans = {_tags(span)["place"]: span for span in trace["spans"]}
    if set(spans) != set(made) or len(trace["spans"]) != len(made):
        return f"{len(trace['spans'])} spans, not {len(made)}"
    ids = {place: span["spanID"] for place, span in spans.items()}
    services = feed.services(each.process, processes)
    for place, span in made.items():
        stored = spans[place]
        process = trace["processes"][stored["processID"]]
        if _fields(stored, process) != (*_wanted(span, ids), services[span.called]):
            return f"span {place} is not as it was made"
    return ""


def _fields(span: Mapping[str, Any], process: Mapping[str, Any]) -> tuple[Any, ...]:
    tags = _tags(span)
    above = [reference["spanID"] for reference in span["references"]]
    times = span["startTime"], span["duration"]
    return (
        span["operationName"],
        above,
        *times,
        tags.get("span.kind", ""),
        bool(tags.get("error")),
        process["serviceName"],
    )


def _wanted(span: Span, ids: Mapping[int, str]) -> tuple[Any, ...]:
    above = [] if span.above < 0 else [ids[span.above]]
    return span.operation, above, span.start_us, span.end_us - span.start_us, span.kind, span.failed


def _tags(span: Mapping[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def _ask(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with _opener.open(request, timeout=_TIMEOUT_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as fault:
        with fault:
            raise NoAnswer(f"{url}: HTTP status {fault.code}", fault.code) from None
    except OSError as fault:
        raise NoAnswer(f"{url}: {fault}") from None
