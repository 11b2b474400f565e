# SPDX-License-Identifier: Apache-2.0
"""What waits in RabbitMQ's queue of notifications, looked at without being taken: got, not acknowledged, given back.

A reader gets one notification after the other until the broker says that there is none. What it has not acknowledged
when its channel ends, however that ends, the broker puts back where it was.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

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

#: The queue of a topic's notifications of one priority, as oslo.messaging names it.
_QUEUE = f"{TOPIC}.info"

#: How many notifications one reader holds at most.
MOST_HELD = 64_000

#: What one notification holds at most.
MOST_RECORDS = 200
MOST_CHARS = 1_000_000

#: The key of the payload under which a batch has its records; the payload of a single record is that record.
RECORDS = "records"


class Notification:
    """One that is held; given back to the queue unless it is taken."""

    def __init__(self, message: Any, connection_string: str) -> None:
        self._message = message
        self._connection_string = connection_string
        self._where = masked(connection_string)
        self.payload = self._payload()

    def _payload(self) -> Any:
        """What it says; None where that cannot be read."""
        from oslo_messaging._drivers.common import deserialize_msg

        try:
            payload = deserialize_msg(self._message.payload).get("payload")
            why = "it has no payload"
        except Exception as fault:  # kombu's own, and what the decoders that it was given raise
            payload, why = None, fault_line(fault, self._connection_string)
        if payload is None:
            unreadable.skip(self._where, self.name, why)
        return payload

    @property
    def name(self) -> str:
        """By what it is told from others: its place among those that the reader has got."""
        return f"notification {self._message.delivery_tag}"

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of traces in it."""
        return unreadable.readable(self._where, self.parts(), checked, lambda _: f"a record in {self.name}")

    def parts(self) -> list[Any]:
        """What stands where its records should."""
        many = self.payload.get(RECORDS) if isinstance(self.payload, dict) else None
        if isinstance(many, list):
            return many
        return [] if self.payload is None else [self.payload]

    def take(self) -> None:
        """Take it out of the queue, for good."""
        self._message.ack()


class Held:
    """``with`` it: a reader of the queue, which holds what it has got until the end.

    Raises CommandError where there is no RabbitMQ, or it does not let us in.
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
            raise network.cannot_read(self._driver.connection_str, self._driver.told(fault)) from None
        self._channel = self._connection.channel
        return self

    def notifications(self) -> Iterator[Notification]:
        """What waits in the queue now, and this reader does not hold yet."""
        while self._count < MOST_HELD:
            try:
                raw = self._channel.basic_get(_QUEUE)
            except self._connection.connection.channel_errors:  # There is no such queue; the broker has closed ours.
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
                "%d notifications were looked at, the most that one reader holds; more may wait in the queue, so that "
                "traces may be incomplete or missing. `osprofiler trace export --to STORE` and `delete` empty it; a "
                "policy such as RabbitMQ's message-ttl keeps it short.",
                MOST_HELD,
            )


def _connect(transport: Any) -> Any:
    """A connection of oslo.messaging's own to what *transport* says, with all that the configuration asks of one."""
    from oslo_messaging._drivers import common, impl_rabbit

    driver = transport._driver
    if not isinstance(driver, impl_rabbit.RabbitDriver):
        raise Unsupported("messaging:// can be read from RabbitMQ only: other brokers do not give messages back")
    # Not one of the pool's, which have a thread for their heartbeats. One attempt more: kombu takes "none" for
    # "without end".
    return driver._connection_pool.create(common.PURPOSE_LISTEN, retry=1)


def batches(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """*records* in batches that one notification can hold."""
    sized = ((record, len(json.dumps(record, default=str, skipkeys=True))) for record in records)
    return network.in_batches(sized, MOST_RECORDS, MOST_CHARS)
