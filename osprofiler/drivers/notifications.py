# SPDX-License-Identifier: Apache-2.0
"""What waits in the queue of notifications, looked at without being taken: received, held unacknowledged, given back.

A listener of oslo.messaging receives it in batches, each in a thread that waits until the reader is done; what the
listener then learns has the broker take the batch back. If the reader dies the broker does so by itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osprofiler import exc
from osprofiler.drivers import network

if TYPE_CHECKING:
    from osprofiler.drivers.messaging import Messaging

TOPIC = "profiler"

#: How many notifications one reader holds at most, and how many it takes at a time.
MOST_HELD = 64_000
_AT_A_TIME = 1_000
_POLL_S = 0.05

#: Longest that a reader waits for a queue to fall silent into which others keep writing.
_LONGEST_S = 60.0

#: What one notification holds at most.
MOST_RECORDS = 200
MOST_CHARS = 1_000_000

#: The key of the payload under which a batch has its records; the payload of a single record is that record.
RECORDS = "records"


class Batch:
    """What was received at once. It is given back to the queue, unless it is done with."""

    def __init__(self, payloads: list[Any]) -> None:
        self.payloads = payloads
        self.is_done = False


class Held:
    """``with`` it: all that waits in the queue, held; a listener's endpoint, too.

    The listener calls ``info`` in a thread for each batch, and learns from what it returns whether to give the batch
    back. So it does not return before the end.
    """

    def __init__(self, driver: Messaging, is_wanted: Callable[[dict[str, Any]], bool]) -> None:
        self.batches: list[Batch] = []
        self._driver = driver
        self._is_wanted = is_wanted
        self._over = threading.Event()
        self._result = driver.oslo_messaging.NotificationResult
        now = time.monotonic()
        self._last, self._last_wanted = now, now
        self._server: Any = None

    def info(self, messages: list[dict[str, Any]]) -> Any:
        if self._over.is_set():
            return self._result.REQUEUE
        batch = Batch([message["payload"] for message in messages])
        self._last = time.monotonic()
        if any(self._is_wanted(record) for payload in batch.payloads for record in records_of(payload)):
            self._last_wanted = self._last
        self.batches.append(batch)
        self._over.wait()
        return self._result.HANDLED if batch.is_done else self._result.REQUEUE

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of all notifications."""
        for batch in self.batches:
            for payload in batch.payloads:
                yield from records_of(payload)

    def __enter__(self) -> Held:
        self._driver.look_for_broker()
        faults: list[BaseException] = []

        def listen() -> None:
            try:
                self._server = self._listener()
                # Each batch has a thread that waits.
                self._server.start(override_pool_size=MOST_HELD // _AT_A_TIME)
            except BaseException as fault:
                faults.append(fault)

        # oslo.messaging tries to connect without end: also with a wrong password.
        starter = threading.Thread(target=listen, daemon=True)
        starter.start()
        starter.join(2 * network.CONNECT_TIMEOUT_S)
        if faults or starter.is_alive():
            fault = faults[0] if faults else None
            said = network.first_line(fault) if fault else "no connection; are the account and the host right?"
            raise exc.CommandError(f"cannot read {self._driver.connection_str}: {said}") from fault
        self._wait()
        return self

    def _listener(self) -> Any:
        oslo_messaging = self._driver.oslo_messaging
        return oslo_messaging.get_batch_notification_listener(
            self._driver.transport,
            [oslo_messaging.Target(topic=TOPIC)],
            [self],
            executor="threading",
            allow_requeue=True,
            batch_size=_AT_A_TIME,
            batch_timeout=4 * _POLL_S,
        )

    def _wait(self) -> None:
        begin = self._last = self._last_wanted = time.monotonic()
        idle_s = self._driver.idle_timeout
        while not self._over.wait(_POLL_S):
            now = time.monotonic()
            is_full = len(self.batches) >= MOST_HELD // _AT_A_TIME or now - begin > _LONGEST_S
            if now - self._last_wanted > idle_s and (now - self._last > idle_s or is_full):
                return

    def __exit__(self, *_: object) -> None:
        # First nothing more is to come: what is given back would come again.
        self._server.stop()
        self._over.set()
        self._server.wait()


def records_of(payload: Any) -> Iterator[dict[str, Any]]:
    """The records of one notification's payload."""
    if isinstance(payload, dict):
        many = payload.get(RECORDS)
        for record in many if isinstance(many, list) else [payload]:
            if isinstance(record, dict) and "base_id" in record:
                yield record


def batches(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """*records* in batches that one notification can hold."""
    batch: list[dict[str, Any]] = []
    chars = 0
    for record in records:
        size = len(json.dumps(record, default=str, skipkeys=True))
        if batch and (len(batch) == MOST_RECORDS or chars + size > MOST_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(record)
        chars += size
    if batch:
        yield batch
