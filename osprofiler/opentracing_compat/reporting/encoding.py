# SPDX-License-Identifier: Apache-2.0
"""Batches for the two thrift transports: spans encoded one by one, and put into messages with the process."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import osprofiler
from osprofiler.opentracing_compat.reporting import jaeger_spans
from osprofiler.opentracing_compat.reporting.pairing import Pairs
from osprofiler.opentracing_compat.reporting.queue import Entry
from osprofiler.opentracing_compat.reporting.thrift_codec import MESSAGE_OVERHEAD, Codec


@dataclasses.dataclass
class Encoded:
    """The spans of one batch."""

    spans: list[bytes]
    dropped: Counter[str]  # entries, by reason
    merged: int  # start records that wait for their stop


class Encoder:
    """Encodes for one exporter, in the protocol of *codec*."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._service = "osprofiler"
        self._tags: dict[str, Any] = {}
        self._process: bytes | None = None
        self._pairs = Pairs()

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        """Take the name and tags under which spans are sent from now on."""
        self._service = service
        self._tags = dict(tags)
        self._process = None

    def after_fork(self) -> None:
        """The child has a pid of its own, and its parent's records are not its."""
        self._process = None
        self._pairs = Pairs()

    def encode(self, batch: Sequence[Entry], limit_bytes: int | None = None) -> Encoded:
        """Encode *batch*, each span to fit a message of *limit_bytes* with the process."""
        codec = self._codec
        encoded = Encoded([], Counter(), 0)
        room = None if limit_bytes is None else limit_bytes - len(self.process()) - MESSAGE_OVERHEAD
        for kind, item, _ in batch:
            span: Any = item
            try:
                if kind == "record":
                    span = self._pairs.add(span)
                    if span is None:
                        encoded.merged += 1
                        continue
                made = jaeger_spans.convert(span)
                data: bytes | None = codec.encode(made)
                if room is not None and data is not None and len(data) > room:
                    data = jaeger_spans.cut_to(made, room, codec)
            except Exception:  # of whatever kind: the codecs differ in theirs, and a record may hold anything
                encoded.dropped["unencodable"] += 1
                continue
            if data is None:
                encoded.dropped["too_large"] += 1
            else:
                encoded.spans.append(data)
        return encoded

    def message(self, spans: Sequence[bytes]) -> bytes:
        """One message with all of *spans*."""
        return self._codec.message(self.process(), spans)

    def packets(self, spans: Sequence[bytes], limit_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Messages of at most *limit_bytes* each, with the number of spans in them."""
        room = limit_bytes - len(self.process()) - MESSAGE_OVERHEAD
        start = size = 0
        for end, span in enumerate(spans):
            if size + len(span) > room and end > start:
                yield self.message(spans[start:end]), end - start
                start, size = end, 0
            size += len(span)
        if start < len(spans):
            yield self.message(spans[start:]), len(spans) - start

    def process(self) -> bytes:
        """The encoded process; made anew in each process, for its pid."""
        if self._process is None:
            tags = {
                "hostname": socket.gethostname(),
                "pid": os.getpid(),
                "osprofiler.version": osprofiler.__version__,
                **self._tags,
            }
            self._process = self._codec.encode(jaeger_spans.process(self._service, tags))
        return self._process
