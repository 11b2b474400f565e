# SPDX-License-Identifier: Apache-2.0
"""The driver of oslo.messaging: traces are notifications, which wait in the queue of the topic ``profiler``.

Reading does not remove notifications. The reader gets them without acknowledging them, and the broker puts them back
when the reader has finished or its connection has ended. The limits are:

* It works only with RabbitMQ.
* It reads at most 64,000 notifications, the oldest ones.
* A second reader at the same time does not see the notifications of the first one.
* The queue grows until it is emptied: by ``delete``, by a policy of the broker such as RabbitMQ's ``message-ttl`` or
  ``max-length``, or by a reader of osprofiler 4.4.0.
* A queue that is not durable is lost when the broker restarts.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from osprofiler.connection import options, strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import cut, malformed
from osprofiler.drivers import base, errors, locate, network, notifications
from osprofiler.drivers.abilities import DELETABLE_RECORDS, Can

#: RabbitMQ's port, if the transport's URL has none.
_PORT = 5672

#: The time after which a reader checks for more records of its trace, in seconds.
_POLL_S = 0.05


class Messaging(base.Driver):
    """``messaging://``. The broker is in *transport_url* (``rabbit://user:password@host:5672/``), or else in *conf*.

    A batch is one notification. osprofiler 4.4.0 and other listeners on the topic do not understand it. With
    ``messaging://?plain=yes`` each record is one notification, as they expect; with ``notify`` it always is.
    *idle_timeout*: the reader of a trace waits so many seconds for more of its records.
    """

    # Whoever lists the topic's records takes them from it.
    can = DELETABLE_RECORDS - {Can.READ_SHARED}

    max_span_chars: ClassVar[int | None] = notifications.MOST_CHARS

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        context: Any = None,
        conf: Any = None,
        transport_url: str | None = None,
        idle_timeout: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, conf=conf, **kwargs)
        self.oslo_messaging = _library()
        self.context = context
        self.idle_timeout = idle_timeout
        self.check(connection_str)
        self._plain = _is_plain(connection_str)
        self._conf = conf
        self._transport_url = transport_url
        self._transport: network.PerProcess[Any] = network.PerProcess(self._connect)

    @classmethod
    def get_name(cls) -> str:
        return "messaging"

    @classmethod
    def check(cls, connection_string: str) -> None:
        parts = urlsplit(locate.notation(connection_string))
        if parts.netloc or parts.path not in ("", "/") or parts.fragment:
            raise malformed(
                connection_string,
                "messaging:// names no broker, oslo.messaging's transport_url does, in the configuration or by "
                "--transport-url",
            )
        _is_plain(connection_string)
        _library()

    @property
    def transport(self) -> Any:
        """This process's notification transport."""
        return self._transport.get()

    def _connect(self) -> Any:
        from oslo_config import cfg

        conf = cfg.CONF if self._conf is None else self._conf
        url = {"url": self._transport_url} if self._transport_url else {}
        try:
            return self.oslo_messaging.get_notification_transport(conf, **url)
        except self.oslo_messaging.MessagingException as fault:
            raise ValueError(f"no transport for messaging://: {self.fault_line(fault)}") from None

    # Writing

    def notify(self, info: dict[str, Any], context: Any = None, **kwargs: Any) -> None:
        with errors.writing(self.connection_str):
            self._send(self.labelled(info), context)

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        with errors.writing(self.connection_str):
            for batch in notifications.batches([self.labelled(record) for record in records]):
                if self._plain or len(batch) == 1:
                    for record in batch:
                        self._send(record)
                else:
                    self._send({notifications.RECORDS: batch, "service": self.service})

    def _send(self, payload: dict[str, Any], context: Any = None) -> None:
        """Send one notification, once. Raises an error if the broker does not take it.

        oslo.messaging's Notifier would only log that, and the record would be lost in silence.
        """
        message = {
            "message_id": str(uuid.uuid4()),
            "publisher_id": self.host,
            "event_type": f"{notifications.TOPIC}.{payload.get('service')}",
            "priority": "INFO",
            "payload": payload,
            "timestamp": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime()),
        }
        target = self.oslo_messaging.Target(topic=f"{notifications.TOPIC}.info")
        try:
            # retry=1: kombu retries for ever with 0.
            self.transport._send_notification(target, context or self.context or {}, message, version=1.0, retry=1)
        except Exception as fault:
            if _is_of_the_broker(fault, self.oslo_messaging):
                # Without the cause: its text may have the password of the transport's URL.
                raise errors.StoreUnavailable(self.fault_line(fault)) from None
            raise

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        last: float | None = None
        with notifications.Held(self) as held:
            while last is None or time.monotonic() - last < self.idle_timeout:
                if last is not None:
                    time.sleep(_POLL_S)
                new = [record for record in held.records() if record["base_id"] == base_id]
                records += new
                if new or last is None:
                    last = time.monotonic()
        return records

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """As in the base class. Waits for no further records."""
        traces: dict[str, list[dict[str, Any]]] = {base_id: [] for base_id in base_ids}
        with notifications.Held(self) as held:
            for record in held.records():
                if record["base_id"] in traces:
                    traces[record["base_id"]].append(record)
        yield from ((base_id, records) for base_id, records in traces.items() if records)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        with notifications.Held(self) as held:
            return network.listed(held.records(), fields or self.default_trace_fields)

    def list_error_traces(self) -> list[dict[str, Any]]:
        with notifications.Held(self) as held:
            return network.listed(network.failed(held.records()), self.default_trace_fields)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        """As in the base class. The other records of the same notifications are sent again first."""
        unwanted = set(base_ids)
        gone = 0
        with notifications.Held(self) as held:
            # list: get all first, or the notifications that are sent again would come again.
            for notification in list(held.notifications()):
                parts = notification.parts()
                others = [part for part in parts if not _is_of(part, unwanted)]
                if len(others) == len(parts):
                    continue
                if others:
                    self._send({**notification.payload, notifications.RECORDS: others})
                notification.remove()
                gone += len(parts) - len(others)
        return gone

    def look_for_broker(self) -> None:
        """Raise StoreUnavailable if no host of the transport can be reached."""
        try:
            url = self.oslo_messaging.TransportURL.parse(self.transport.conf, self._transport_url)
        except (ValueError, self.oslo_messaging.MessagingException) as fault:
            raise network.cannot_read(self.connection_str, self.fault_line(fault)) from None
        absent = ""
        for host in url.hosts:
            try:
                socket.create_connection((host.hostname, host.port or _PORT), network.CONNECT_TIMEOUT_S).close()
                return
            except OSError as fault:
                absent = f"{host.hostname}:{host.port or _PORT}: {fault.strerror or fault}"
        if absent:
            raise network.cannot_read(self.connection_str, cut(f"no broker at {absent}", *self._urls()))

    def fault_line(self, fault: BaseException) -> str:
        """The text of *fault* in one line, without the secrets of the transport's URLs."""
        return fault_line(fault, *self._urls())

    def _urls(self) -> list[str]:
        """All URLs from which oslo.messaging may know a password."""
        urls = [self.connection_str, self._transport_url]
        for group in (self._conf, getattr(self._conf, "oslo_messaging_notifications", None)):
            urls.append(getattr(group, "transport_url", None))
        return [url for url in urls if isinstance(url, str)]

    def close(self) -> None:
        transport = self._transport.take()
        if transport is not None:
            transport.cleanup()


class NotifyEndpoint:
    """An endpoint of osprofiler 4.4.0 for a notification listener. It collects the records of one trace."""

    def __init__(self, oslo_messaging: Any, base_id: str) -> None:
        self.received_messages: list[Any] = []
        self.last_read_time = time.time()
        self.filter_rule = oslo_messaging.NotificationFilter(payload={"base_id": base_id})

    def info(self, ctxt: Any, publisher_id: Any, event_type: Any, payload: Any, metadata: Any) -> None:
        """Receive one notification."""
        self.received_messages.append(payload)
        self.last_read_time = time.time()

    def get_messages(self) -> list[Any]:
        """The payloads of all received notifications."""
        return self.received_messages

    def get_last_read_time(self) -> float:
        """The time of the last notification, in seconds since the epoch."""
        return self.last_read_time


class SignalExit(BaseException):
    """Raised by :func:`signal_handler` to end a wait."""


def signal_handler(signum: Any, frame: Any, state: dict[str, bool]) -> None:
    """Set ``running`` in *state* to False, and raise SignalExit. osprofiler itself does not install this handler."""
    state["running"] = False
    raise SignalExit


def _is_of(part: Any, base_ids: Collection[str]) -> bool:
    """Whether *part*, which should be a record, is of one of these traces."""
    return isinstance(part, dict) and str(part.get("base_id")) in base_ids


def _is_of_the_broker(fault: Exception, oslo_messaging: Any) -> bool:
    """Whether *fault* means that no broker was there, or that it has refused our account."""
    kinds = (oslo_messaging.MessageDeliveryFailure, OSError)
    # kombu and amqp have their own exceptions for that. The transport decides which one is raised.
    names = {kind.__name__ for kind in type(fault).__mro__}
    return isinstance(fault, kinds) or not names.isdisjoint(("OperationalError", "AMQPError"))


def _is_plain(connection_string: str) -> bool:
    return strings.switch(strings.options(connection_string, *options.names("messaging")), "plain")


def _library() -> Any:
    return network.library("oslo_messaging", "notifications", "oslo.messaging", "messaging")
