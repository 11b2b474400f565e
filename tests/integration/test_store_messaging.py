# SPDX-License-Identifier: Apache-2.0
"""Notifications: reading never removes them, also if the reader is killed; and the notifications of plain listeners."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import kombu
import oslo_messaging
import pytest
from oslo_config import cfg

from osprofiler.drivers import notifications
from osprofiler.drivers.messaging import Messaging
from osprofiler.testing.records import T0_US, record, two_spans
from tests import servers
from tests.waiting import wait_until

QUEUE = "profiler.info"

READER = """
import sys
from osprofiler.drivers import messaging, notifications
driver = messaging.Messaging("messaging://", transport_url=sys.argv[1], idle_timeout=0)
with notifications.Held(driver) as held:
    list(held.records())
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def url(rabbit: servers.Rabbit) -> str:
    with channel(rabbit.url) as queues:
        queues.queue_delete(QUEUE)
    return rabbit.url


@contextlib.contextmanager
def channel(url: str) -> Iterator[Any]:
    with kombu.Connection(url.replace("rabbit:", "amqp:")) as connection:
        yield connection.channel()


def waiting(url: str) -> int:
    """The number of notifications that the queue would give to a reader now."""
    with channel(url) as queues:
        return int(queues.queue_declare(QUEUE, passive=True).message_count)


def open_driver(url: str, connection_string: str = "messaging://", **options: Any) -> Messaging:
    return Messaging(connection_string, transport_url=url, idle_timeout=0, **options)


def test_a_batch_is_one_notification_and_plain_is_one_for_each_record(url: str) -> None:
    open_driver(url).write(two_spans())
    wait_until(lambda: waiting(url) == 1, what="the batch")
    open_driver(url, "messaging://?plain=yes").write(two_spans())
    wait_until(lambda: waiting(url) == 5, what="the records")
    open_driver(url).notify(two_spans()[0])
    wait_until(lambda: waiting(url) == 6, what="the record")


def test_a_large_batch_is_divided(url: str) -> None:
    driver = open_driver(url)
    driver.write([record(i, "start", i) for i in range(1, 501)])
    driver.write([record(i, "stop", i, text="x" * 400_000) for i in range(1, 6)])
    wait_until(lambda: waiting(url) == 3 + 3, what="the notifications")
    assert len(driver.read(two_spans()[0]["base_id"])) == 505


def test_reading_one_trace_leaves_all_in_the_queue(url: str) -> None:
    driver = open_driver(url)
    base_ids = [str(uuid.uuid4()) for _ in range(30)]
    for base_id in base_ids:
        driver.write(two_spans(base_id))
    for base_id in base_ids[:3]:
        assert len(open_driver(url).read(base_id)) == 4
    wait_until(lambda: waiting(url) == 30, what="all to be back")
    assert {trace["base_id"] for trace in driver.list_traces()} == set(base_ids)


def test_a_reader_that_is_killed_takes_nothing_away(url: str) -> None:
    for number in range(20):
        open_driver(url).write(two_spans(f"trace {number}"))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", READER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "held\n"
        assert waiting(url) == 0  # it holds them
        os.kill(reader.pid, signal.SIGKILL)
    wait_until(lambda: waiting(url) == 20, what="the broker to take them back")


def test_deleting_a_trace_leaves_what_came_with_it(url: str) -> None:
    driver = open_driver(url)
    driver.write([*two_spans("gone"), *two_spans("kept")])  # in one notification
    driver.notify(record(1, "start", 0, "alone"))
    assert driver.delete("gone") == 4
    assert driver.read("gone") == []
    assert len(driver.read("kept")) == 4
    assert len(driver.read("alone")) == 1


def test_a_purge_looks_through_the_queue_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is read once for the list, and once to remove old traces; not once per trace."""
    driver = open_driver(url)
    ids = [str(uuid.uuid4()) for _ in range(20)]
    driver.write([record(1, "start", number, base_id) for number, base_id in enumerate(ids)])
    wait_until(lambda: waiting(url) == 1, what="the notification")
    looked = []
    monkeypatch.setattr(driver, "look_for_broker", lambda: looked.append(1))
    assert driver.purge(T0_US + 15) == 15
    assert len(looked) == 2
    wait_until(lambda: {trace["base_id"] for trace in driver.list_traces()} == set(ids[15:]), what="the rest")


def test_a_trace_that_is_still_being_written_is_waited_for(url: str) -> None:
    """The reader waits while records come, each within the idle time after the last one."""
    driver = open_driver(url)
    driver.write([record(1, "start", 0)])
    reader = Messaging("messaging://", transport_url=url, idle_timeout=2)
    results: list[list[dict[str, Any]]] = []
    reading = threading.Thread(target=lambda: results.append(reader.read(two_spans()[0]["base_id"])))
    reading.start()
    wait_until(lambda: waiting(url) == 0, what="the reader to hold the first")
    driver.write([record(2, "start", 1)])
    wait_until(lambda: waiting(url) == 0, what="the reader to hold the second")
    driver.write([record(3, "start", 2)])
    reading.join(60)
    assert len(results[0]) == 3


def test_a_plain_listener_understands_what_it_always_got(url: str) -> None:
    """A notification of the application itself, by oslo.messaging's rules."""
    open_driver(url, "messaging://?plain=yes", project="nova", service="api", host="here").write(two_spans())
    taken: list[tuple[Any, ...]] = []

    class Endpoint:
        def info(self, context: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
            taken.append((publisher_id, event_type, payload, sorted(metadata)))

    transport = oslo_messaging.get_notification_transport(cfg.CONF, url=url)
    listener = oslo_messaging.get_notification_listener(
        transport, [oslo_messaging.Target(topic="profiler")], [Endpoint()], executor="threading"
    )
    listener.start()
    wait_until(lambda: len(taken) == 4, what="the notifications")
    listener.stop()
    listener.wait()
    expected = [{**each, "project": "nova", "service": "api"} for each in two_spans()]
    assert sorted(taken, key=lambda one: str(one[2]["timestamp"])) == [
        ("here", "profiler.api", each, ["message_id", "timestamp"]) for each in expected
    ]


def test_a_queue_too_long_to_be_looked_at_is_said(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning is one line, with advice. All notifications stay in the queue."""
    monkeypatch.setattr(notifications, "MOST_HELD", 4)
    driver = open_driver(url)
    driver.write(two_spans("short enough"))
    driver.list_traces()
    warnings = lambda: [each.getMessage() for each in caplog.records if each.name == notifications.LOG.name]  # noqa: E731
    assert not warnings()
    for number in range(9):
        driver.write(two_spans(f"trace {number}"))
    assert len(driver.list_traces()) == 4
    (line,) = warnings()
    assert line.startswith("4 notifications were read")
    assert len(line.splitlines()) == 1
    wait_until(lambda: waiting(url) == 10, what="all to be back")


def test_the_command_line_says_what_it_was_asked_and_nothing_else(url: str) -> None:
    """The command prints no warnings of the libraries under oslo.messaging, and one line if there is no broker."""
    open_driver(url).write(two_spans("asked for"))
    command = [sys.executable, "-m", "osprofiler.cmd.shell", "trace", "list", "--json"]
    store = ["--connection-string", "messaging://", "--transport-url"]
    listed = subprocess.run([*command, *store, url], capture_output=True, text=True, timeout=120, check=False)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [trace["base_id"] for trace in json.loads(listed.stdout)] == ["asked for"]
    away = f"rabbit://guest:my-secret@127.0.0.1:{servers.free_port()}/"
    failed = subprocess.run([*command, *store, away], capture_output=True, text=True, timeout=120, check=False)
    assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)
    assert "my-secret" not in failed.stderr
