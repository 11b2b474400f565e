# SPDX-License-Identifier: Apache-2.0
"""What the reporter asks of a transport or store, and how those tell it what became of a batch."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence
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
    """What became of a batch, in entries. An exporter touches neither counters nor logs: it may run in a thread that
    must not (see ``worker``)."""

    delivered: int
    dropped: Mapping[str, int] = dataclasses.field(default_factory=lambda: _NOTHING)  # by reason
    merged: int = 0  # start records that wait for their stop to make one span


class Failed(Exception):
    """A batch did not get out. The text names what failed, without secrets."""


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
    """Trying the same again is no use. *divisible*: parts of the batch may still be taken."""

    def __init__(self, text: str, *, reason: str = "rejected", divisible: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.divisible = divisible


class Exporter(Protocol):
    """Sends batches to one place. Made in the service's start-up, used by the reporter only.

    Nothing is opened, resolved or imported at construction that may take long; that is for the first ``export``.
    """

    #: Where to, as logs may show it.
    target: str

    #: Wants an entry when a span starts, besides the one when it ends.
    wants_starts: bool

    #: A batch that ``export`` returned from has been taken by the other side, not merely sent.
    acknowledged: bool

    #: Waits inside C code, where eventlet's green sockets do not help.
    blocking: bool

    #: The limit on the text of one span, in characters; None: no limit of its own.
    max_span_chars: int | None

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        """Take the name and tags of the process whose spans come next; :func:`process_tags` has the rest."""

    def export(self, batch: Sequence[Item], deadline: float) -> Outcome:
        """Send *batch*; wait for nothing beyond *deadline* (``time.monotonic()``). Raises Transient or Rejected."""

    def after_fork(self) -> None:
        """In a forked child: forget connections, sending nothing on them: they are the parent's."""


def process_tags(given: Mapping[str, Any]) -> dict[str, Any]:
    """All tags of a process: those *given*, and what is so of this one beside them; with None a tag is left out."""
    own = {"hostname": socket.gethostname(), "pid": os.getpid(), names.VERSION: osprofiler.__version__}
    return {name: value for name, value in {**own, **given}.items() if value is not None}
