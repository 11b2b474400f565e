# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on oslo.messaging's notifications, through RabbitMQ."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import kombu
import pytest

from osprofiler.drivers.base import Can, Driver
from osprofiler.drivers.messaging import Messaging
from osprofiler.testing.drivers import WRONG_PASSWORD, Connect, DriverKit, OwnServer, Plant, ServerKit
from osprofiler.testing.records import wrong_records
from tests.conftest import own
from tests.servers import Rabbit, free_port


@contextmanager
def connecting(transport_url: str) -> Iterator[Connect]:
    """A function that makes drivers. They are closed at the end."""
    made: list[Messaging] = []

    def connect(**options: object) -> Messaging:
        driver = Messaging("messaging://", transport_url=transport_url, idle_timeout=0, **options)  # type: ignore[arg-type]
        made.append(driver)
        return driver

    yield connect
    for driver in made:
        driver.close()


def empty(rabbit: Rabbit) -> None:
    """Remove all notifications."""
    with kombu.Connection(rabbit.url.replace("rabbit:", "amqp:")) as connection:
        connection.channel().queue_delete("profiler.info")


class TestMessaging(ServerKit):
    title: ClassVar[str] = "messaging (RabbitMQ)"
    driver_class: ClassVar[type[Driver]] = Messaging
    expires: ClassVar[bool] = True
    takes_garbage: ClassVar[bool] = True

    @pytest.fixture
    def plant(self, rabbit: Rabbit) -> Plant:
        def planted() -> int:
            payloads = [*wrong_records(), "text", 5, {"records": [*wrong_records(), None, "x"]}]
            enveloped = [
                {"oslo.version": "2.0", "oslo.message": json.dumps({"payload": payload})} for payload in payloads
            ]
            bodies = ["{", "[" * 20_000, "5", '{"oslo.version": "2.0"}', *map(json.dumps, enveloped)]
            with kombu.Connection(rabbit.url.replace("rabbit:", "amqp:")) as connection:
                producer = kombu.Producer(connection)
                for body in [*(body.encode() for body in bodies), b"\xff"]:
                    producer.publish(
                        body, routing_key="profiler.info", content_type="application/json", content_encoding="utf-8"
                    )
            return len(bodies) + len(wrong_records()) + 2

        return planted

    survives: ClassVar[bool] = False  # the queue is not durable

    @pytest.fixture
    def connect(self, rabbit: Rabbit) -> Iterator[Connect]:
        empty(rabbit)
        with connecting(rabbit.url) as connect:
            yield connect

    @pytest.fixture
    def forgetful(self, rabbit: Rabbit, connect: Connect) -> Iterator[Connect]:
        """Traces expire by a policy of the broker."""
        rabbit.ctl("set_policy", "--apply-to", "queues", "forget", r"^profiler\.", '{"message-ttl": 2000}')
        yield connect
        rabbit.ctl("clear_policy", "forget")

    @pytest.fixture
    def own_server(self) -> Iterator[OwnServer]:
        with own(Rabbit) as server, connecting(server.url) as connect:
            yield OwnServer(connect, server.stop, server.start)

    @pytest.fixture
    def denied(self, rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
        monkeypatch.setattr("osprofiler.drivers.network.CONNECT_TIMEOUT_S", 0.5)
        with connecting(rabbit.url.replace("guest:guest", f"guest:{WRONG_PASSWORD}")) as connect:
            yield connect()

    @pytest.fixture
    def absent(self) -> Iterator[Driver]:
        with connecting(f"rabbit://osp:{WRONG_PASSWORD}@127.0.0.1:{free_port()}/") as connect:
            yield connect()


def test_the_kit_finds_that_a_queue_has_one_reader_at_a_time(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Messaging, "can", Messaging.can | {Can.READ_SHARED})

    def fails() -> bool:
        empty(rabbit)
        with connecting(rabbit.url) as connect:
            try:
                DriverKit().test_other_processes_read_what_one_lists(connect(), connect)
            except AssertionError:
                return True
        return False

    assert any(fails() for _ in range(20))  # by chance the readers take turns
    assert "AssertionError" in capfd.readouterr().err  # of the other processes
