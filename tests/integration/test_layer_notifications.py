# SPDX-License-Identifier: Apache-2.0
"""Notifications of oslo.messaging over a real RabbitMQ; the listener is another process."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging.transport import Transport

from osprofiler import config, messaging, profiler
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import registry
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import Recording, recording
from tests.servers import Rabbit

PROGRAM = Path(__file__).parent / "programs" / "notification_listener.py"
KEY = "the secret key"


class Serializer(oslo_messaging.NoOpSerializer):  # type: ignore[misc]
    """It makes the message's context as services with osprofiler 4 do, with the key in it."""

    def serialize_context(self, context: Any) -> dict[str, Any]:
        return {"user_id": "u1", "trace_info": {"hmac_key": KEY, "base_id": "b", "parent_id": "p"}}


class Bus:
    """A notifier of this process, and a listener in another one."""

    def __init__(self, rabbit: Rabbit) -> None:
        self._url = rabbit.url
        self._topic = f"notifications-{uuid.uuid4().hex[:8]}"
        cfg.CONF([], project="tests", default_config_files=[])
        self._transport = oslo_messaging.get_notification_transport(cfg.CONF, url=self._url)
        self.received: list[dict[str, Any]] = []
        self.spans: list[dict[str, Any]] = []
        self.wire: list[str] = []

    @contextmanager
    def listener(self, layer: str = "on", serializer: Any = None) -> Iterator[oslo_messaging.Notifier]:
        """A notifier. When the block ends, what the listener has received and recorded is here."""
        command = [sys.executable, "-W", "ignore", str(PROGRAM), self._url, self._topic, layer]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            notifier = oslo_messaging.Notifier(
                self._transport, "api.one", driver="messagingv2", serializer=serializer, topics=[self._topic]
            )
            try:
                yield notifier
                with scope.entered(None):
                    notifier.info({}, "stop", {})
                *lines, last = process.communicate(timeout=120)[0].splitlines()
            finally:
                process.kill()
        self.received = [json.loads(line) for line in lines]
        told = json.loads(last)
        self.spans, self.wire = told["spans"], told["wire"]

    def close(self) -> None:
        self._transport.cleanup()


@pytest.fixture
def bus(rabbit: Rabbit) -> Iterator[Bus]:
    bus = Bus(rabbit)
    yield bus
    bus.close()


@pytest.fixture
def spans() -> Iterator[Recording]:
    original = Transport._send_notification
    with clean_process():
        config.publish(enabled=True, hmac_keys=(KEY,))
        registry.instrument("notifications")
        with (
            no_swallowed_faults(set()),
            recording(trace=False) as spans,
            scope.entered(Point(None, None, Origin.from_osprofiler(KEY))),
        ):
            yield spans
            assert spans.unfinished() == []
        registry.uninstrument()
    assert Transport._send_notification is original


@pytest.mark.parametrize("plain_peers", [False, True])
def test_a_listener_s_span_follows_from_the_sender_s(bus: Bus, spans: Recording, plain_peers: bool) -> None:
    config.publish(rpc_plain_peers=plain_peers)
    with bus.listener(serializer=Serializer()) as notifier, profiler.Trace("outer"):
        notifier.info({}, "server.create", {"secret": "hUnTeR2"})
    sent, outer = spans
    assert sent.operation == "notification server.create"
    assert sent.parent_id == outer.point_id
    assert (sent.tags["span.kind"], sent.tags["component"]) == ("producer", "oslo.messaging")
    topic = sent.tags["message_bus.destination"]
    assert topic.endswith(".info")
    assert sent.info["notification"] == {
        "event_type": "server.create",
        "priority": "INFO",
        "publisher_id": "api.one",
        "topic": topic,
    }
    handled, received = bus.spans
    assert received["operation"] == sent.operation
    assert (received["base_id"], received["parent_id"]) == (sent.base_id, sent.point_id)
    assert (received["kind"], received["references"]) == ("consumer", ["follows_from"])
    assert received["user"] == "u1"
    assert handled["parent_id"] == received["point_id"]
    assert bus.received[0]["traced"] is True
    assert bus.received[0]["context"].keys() <= {"user_id", "client_timeout"}, "the service sees its own fields"
    assert bus.received[1]["traced"] is False, "the next one is in no trace"
    assert KEY not in "".join(bus.wire)
    assert "hUnTeR2" not in repr(spans) + repr(bus.spans)


def test_an_error_of_an_endpoint_is_that_of_its_span(bus: Bus, spans: Recording) -> None:
    with bus.listener() as notifier:
        notifier.info({}, "fail", {})
    assert spans[0].error is None, "the sender does not know"
    assert {span["operation"]: span["error"] for span in bus.spans} == {
        "handled": None,
        "notification fail": "LookupError",
    }


def test_a_listener_without_the_layer_handles_it_as_before(bus: Bus, spans: Recording) -> None:
    with bus.listener("off", Serializer()) as notifier:
        notifier.info({}, "server.create", {})
    assert bus.spans == []
    assert bus.received[0]["traced"] is False
    assert bus.received[0]["context"]["user_id"] == "u1"
    assert KEY not in "".join(bus.wire)


def test_no_is_carried_on_and_an_untraced_one_is_left_alone(bus: Bus, spans: Recording) -> None:
    with bus.listener() as notifier:
        for point in (None, scope.SUPPRESSED, Point(None, None, Origin.from_osprofiler(KEY, flags=0))):
            with scope.entered(point):
                notifier.info({}, "server.create", {})
    assert spans == []
    assert bus.spans == []
    assert [each["traced"] for each in bus.received] == [False] * 4


@pytest.mark.parametrize("also_rpc", [False, True])
def test_enabled_twice_it_is_traced_once_and_disabled_not_at_all(bus: Bus, spans: Recording, also_rpc: bool) -> None:
    if also_rpc:
        registry.uninstrument("notifications")
        messaging.instrument()
        registry.instrument("notifications")
    try:
        registry.instrument("notifications")
        with bus.listener() as notifier:
            notifier.info({}, "server.create", {})
            registry.uninstrument("notifications")
            notifier.info({}, "server.create", {})
    finally:
        registry.uninstrument("notifications")
        messaging.uninstrument()
    assert len(spans) == 1
    assert len(bus.spans) == 2


def test_a_notification_that_cannot_be_sent_is_an_error(spans: Recording) -> None:
    cfg.CONF([], project="tests", default_config_files=[])
    transport = oslo_messaging.get_notification_transport(cfg.CONF, url="rabbit://guest:guest@127.0.0.1:1/")
    notifier = oslo_messaging.Notifier(transport, publisher_id="api", driver="messagingv2", topics=["topic"], retry=0)
    notifier.info({}, "server.create", {})
    transport.cleanup()
    assert spans[0].error is not None
