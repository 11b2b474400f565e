# SPDX-License-Identifier: Apache-2.0
"""Read the notifications in RabbitMQ's queue without removing them.

A reader gets one notification after the other until the queue is empty. It does not acknowledge them. When its channel
ends, for any reason, the broker puts all unacknowledged notifications back in their places.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from osprofiler._runtime.batched import batched_by_size
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.drivers import network
from osprofiler.drivers.abilities import Unsupported
from osprofiler.records import unreadable
from osprofiler.records.record import checked

if TYPE_CHECKING:
    from osprofiler.drivers.messaging import Messaging

LOG = logging.getLogger(__name__)

TOPIC = "profiler"

#: oslo.messaging's name for the queue of the topic and the priority INFO.
_QUEUE = f"{TOPIC}.info"

#: The most notifications that one reader holds.
MOST_HELD = 64_000

#: The most records, and characters of records, in one notification.
MOST_RECORDS = 200
MOST_CHARS = 1_000_000

#: The key of a batch's records in the payload. Without this key, the payload is a single record.
RECORDS = "records"


class Notification:
    """A notification that a reader holds. It goes back to the queue unless it is removed."""

    def __init__(self, message: Any, connection_string: str) -> None:
        self._message = message
        self._connection_string = connection_string
        self._where = masked(connection_string)
        self.payload = self._payload()

    def _payload(self) -> Any:
        """The payload; None if it cannot be read."""
        from oslo_messaging._drivers.common import deserialize_msg

        try:
            payload = deserialize_msg(self._message.payload).get("payload")
            reason = "it has no payload"
        except Exception as fault:  # of kombu, or of a decoder
            payload, reason = None, fault_line(fault, self._connection_string)
        if payload is None:
            unreadable.skip(self._where, self.name, reason)
        return payload

    @property
    def name(self) -> str:
        """Its name in messages: its place among the notifications of this reader."""
        return f"notification {self._message.delivery_tag}"

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of traces in it."""
        return unreadable.readable(self._where, self.parts(), checked, lambda _: f"a record in {self.name}")

    def parts(self) -> list[Any]:
        """The objects that should be its records."""
        batch = self.payload.get(RECORDS) if isinstance(self.payload, dict) else None
        if isinstance(batch, list):
            return batch
        return [] if self.payload is None else [self.payload]

    def remove(self) -> None:
        """Remove it from the queue."""
        self._message.ack()


class Held:
    """``with Held(driver) as held:`` is a reader of the queue. It holds its notifications until the end of the block.

    Raises StoreUnavailable if the broker is away or refuses our account, and Unsupported if it is not RabbitMQ.
    """

    def __init__(self, driver: Messaging) -> None:
        self._driver = driver
        self._connection: Any = None
        self._channel: Any = None
        self._count = 0

    def __enter__(self) -> Held:
        self._driver.look_for_broker()
        try:
            self._connection = _connect(self._driver.transport)
        except Unsupported:
            raise
        except Exception as fault:
            raise network.cannot_read(self._driver.connection_str, self._driver.fault_line(fault)) from None
        self._channel = self._connection.channel
        return self

    def notifications(self) -> Iterator[Notification]:
        """The notifications that are in the queue now."""
        while self._count < MOST_HELD:
            try:
                raw = self._channel.basic_get(_QUEUE)
            except self._connection.connection.channel_errors:  # no such queue, so the broker has closed the channel
                self._channel = self._connection.connection.channel()
                return
            if raw is None:
                return
            self._count += 1
            yield Notification(self._channel.message_to_python(raw), self._driver.connection_str)

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of :meth:`notifications`."""
        for notification in self.notifications():
            yield from notification.records()

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        if self._count >= MOST_HELD:
            LOG.warning(
                "%d notifications were read, the most that one reader holds. The queue may have more, so traces may be "
                "incomplete or missing. `osprofiler trace export --to STORE` and `osprofiler trace delete` empty it; a "
                "policy such as RabbitMQ's message-ttl keeps it short.",
                MOST_HELD,
            )


def _connect(transport: Any) -> Any:
    """Make a new connection of oslo.messaging to the broker of *transport*, with the options of the configuration."""
    from oslo_messaging._drivers import common, impl_rabbit

    driver = transport._driver
    if not isinstance(driver, impl_rabbit.RabbitDriver):
        raise Unsupported("messaging:// can be read from RabbitMQ only: other brokers do not give messages back")
    # Not from the pool: its connections have a thread for heartbeats. retry=1: kombu retries for ever with 0.
    return driver._connection_pool.create(common.PURPOSE_LISTEN, retry=1)


def batches(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """*records* in batches: each fits into one notification."""
    sized = ((record, len(json.dumps(record, default=str, skipkeys=True))) for record in records)
    return batched_by_size(sized, MOST_RECORDS, MOST_CHARS)
