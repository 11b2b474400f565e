# SPDX-License-Identifier: Apache-2.0
"""Encodes the entries of a batch one by one into one wire format, for the transports of whole spans."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from osprofiler.delivery.exporter import Item, process_tags
from osprofiler.delivery.pauses import with_pauses
from osprofiler.delivery.queue import Recorded
from osprofiler.records.pairs import Pairs
from osprofiler.records.span_data import SpanData

P = TypeVar("P")
S = TypeVar("S")


class TooLarge(Exception):
    """A span does not fit its transport, even with its longest texts cut."""


@dataclasses.dataclass
class Encoded(Generic[S]):
    """The spans of one batch."""

    spans: list[S]
    dropped: Counter[str]  # entries, by reason
    merged: int  # start records that wait for their stop record


class SpanExporter(Generic[P, S]):
    """The base of exporters of whole spans: they encode a batch with one encoder, and take no starts."""

    wants_starts = False
    blocking = False
    max_span_chars: int | None = 1 << 20

    def __init__(
        self, target: str, process: Callable[[str, Mapping[str, Any]], P], span: Callable[[SpanData], S]
    ) -> None:
        self.target = target
        self._encoder = Encoder(process, span)

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        self._encoder.set_process(service, tags)

    def after_fork(self) -> None:
        self._encoder.after_fork()


class Encoder(Generic[P, S]):
    """Encodes for one exporter. *process* encodes the service name and tags of the process, *span* encodes a span."""

    def __init__(self, process: Callable[[str, Mapping[str, Any]], P], span: Callable[[SpanData], S]) -> None:
        self._encode_process = process
        self._encode_span = span
        self._service = "osprofiler"
        self._tags: dict[str, Any] = {}
        self._process: P | None = None
        self._pairs = Pairs()

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        """Set the service name and tags of the spans that are encoded next."""
        self._service = service
        self._tags = dict(tags)
        self._process = None

    def after_fork(self) -> None:
        """In a forked child: forget the parent's pid, and the parent's records."""
        self._process = None
        self._pairs = Pairs()

    def encode(self, batch: Sequence[Item]) -> Encoded[S]:
        """Encode *batch*. A span that cannot be encoded is dropped, and no other."""
        encode = self._encode_span
        encoded: Encoded[S] = Encoded([], Counter(), 0)
        add = encoded.spans.append
        for entries in with_pauses(batch):
            for entry in entries:
                span: Any = entry
                try:
                    if type(entry) is Recorded:
                        span = self._pairs.add(entry.record)
                        if span is None:
                            encoded.merged += 1
                            continue
                    add(encode(span))
                except TooLarge:
                    encoded.dropped["too_large"] += 1
                except Exception:  # each codec has exceptions of its own, and a record may hold anything
                    encoded.dropped["unencodable"] += 1
        return encoded

    def process(self) -> P:
        """The encoded process. It has the pid, so a forked child encodes it anew."""
        if self._process is None:
            self._process = self._encode_process(self._service, process_tags(self._tags))
        return self._process
