# SPDX-License-Identifier: Apache-2.0
"""The interface between the reporter and a transport or store, and the outcomes of a batch."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol, TypeAlias

import osprofiler
from osprofiler.delivery.queue import Recorded, Started
from osprofiler.records import names
from osprofiler.records.span_data import SpanData

#: An entry of a batch: a span that ended, the start of one, or a record that service code made.
Item: TypeAlias = "SpanData | Started | Recorded"

_NOTHING: Mapping[str, int] = {}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a batch, in numbers of entries.

    An exporter returns it and does not count or log: it may run in a thread that must not (see ``worker``).
    """

    delivered: int
    dropped: Mapping[str, int] = dataclasses.field(default_factory=lambda: _NOTHING)  # by reason
    merged: int = 0  # start records that wait for their stop record


class Failed(Exception):
    """A batch was not delivered. The text says why, without secrets."""


class Transient(Failed):
    """Try again later.

    *done* entries at the front are out and are not to be sent again. *unreachable*: nobody could say anything about
    this batch, so it is kept for as long as it takes; otherwise an entry of it may be at fault, and is searched for
    after some attempts. *retry_after_s*: for how long the other side wants to be left alone, in seconds.
    """

    def __init__(
        self, text: str, *, done: int = 0, unreachable: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(text)
        self.done = done
        self.unreachable = unreachable
        self.retry_after_s = retry_after_s


class Rejected(Failed):
    """The other side will never take this batch.

    *places*: it refused only the entries at these places of the batch, and has taken all others. *divisible*: it may
    still take parts of the batch.
    """

    def __init__(
        self, text: str, *, reason: str = "rejected", divisible: bool = False, places: Set[int] | None = None
    ) -> None:
        super().__init__(text)
        self.reason = reason
        self.divisible = divisible
        self.places = places


class Exporter(Protocol):
    """Sends batches to one target. It is made when the service starts, and only the reporter uses it.

    The constructor does not open, resolve or import anything that may take long. The first ``export`` does.
    """

    #: The other side, as logs may show it.
    target: str

    #: Whether it takes the starts of spans, not only their ends.
    wants_starts: bool

    #: Whether the other side has taken a batch when ``export`` returns. False: the batch is only sent.
    acknowledged: bool

    #: Whether it waits inside C code, where eventlet's green sockets do not help.
    blocking: bool

    #: The limit on the text of one span, in characters; None: no limit.
    max_span_chars: int | None

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        """Set the name and tags of the process whose spans come next. :func:`process_tags` adds further tags."""

    def export(self, batch: Sequence[Item], deadline: float) -> Outcome:
        """Send *batch*. Do not wait beyond *deadline* (of ``time.monotonic()``). Raises Transient or Rejected."""

    def after_fork(self) -> None:
        """In a forked child: forget the connections, which are the parent's, and send nothing on them."""


def process_tags(given: Mapping[str, Any]) -> dict[str, Any]:
    """The tags of this process: hostname, pid and version, and those *given*, which win. A tag of None is left out."""
    own = {"hostname": socket.gethostname(), "pid": os.getpid(), names.VERSION: osprofiler.__version__}
    return {name: value for name, value in {**own, **given}.items() if value is not None}
