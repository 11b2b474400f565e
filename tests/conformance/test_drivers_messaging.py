# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on oslo.messaging's notifications, through RabbitMQ."""

from collections.abc import Iterator

import kombu
import pytest

from osprofiler.drivers.messaging import Messaging
from osprofiler.testing.drivers import Connect, DriverKit
from tests.servers import Rabbit


class TestMessaging(DriverKit):
    @pytest.fixture
    def connect(self, rabbit: Rabbit) -> Iterator[Connect]:
        with kombu.Connection(rabbit.url.replace("rabbit:", "amqp:")) as connection:
            connection.channel().queue_delete("profiler.info")
        made: list[Messaging] = []

        def connect(**options: object) -> Messaging:
            driver = Messaging("messaging://", transport_url=rabbit.url, idle_timeout=0.3, **options)  # type: ignore[arg-type]
            made.append(driver)
            return driver

        yield connect
        for driver in made:
            driver.close()
