# SPDX-License-Identifier: Apache-2.0
"""The exporter to drivers: the records that they get, and what their errors mean for the batch."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from redis.exceptions import ReadOnlyError
from sqlalchemy import exc

from osprofiler._runtime import guard, inherited
from osprofiler.delivery.base import NullReporter
from osprofiler.delivery.exporter import Rejected, Transient
from osprofiler.delivery.queue import Entry
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers.base import Driver
from osprofiler.drivers.errors import RecordsRefused, StoreError, StoreUnavailable
from osprofiler.drivers.exporter import StoreExporter
from tests.unit.reporting_kit import Traced, counted


class Batching(Driver):
    """Keeps each batch, or raises *fault* if there is one."""

    def __init__(self, fault: Exception | None = None) -> None:
        super().__init__("kept://")
        self.fault = fault
        self.batches: list[list[dict[str, Any]]] = []

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if self.fault is not None:
            raise self.fault
        self.batches.append(list(records))


class Stock(Driver):
    """Like the drivers of osprofiler 4: one record a call."""

    def __init__(self, fail_at: int) -> None:
        super().__init__("stock://")
        self.fail_at = fail_at
        self.kept: list[Any] = []

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        if len(self.kept) == self.fail_at:
            self.fail_at = -1
            raise ConnectionResetError
        self.kept.append(info["trace_id"])


def spans(number: int) -> list[Entry]:
    traced = Traced(NullReporter())
    return [traced.point("p") for _ in range(number)]


def test_records_of_one_span_with_project_and_service() -> None:
    driver = Batching()
    reporter = QueueReporter(StoreExporter(lambda: driver, "t", labels={"project": "nova", "service": "api"}))
    span = Traced(reporter).point("db", {"db": {"statement": "SELECT 1"}}, {"n": 1})
    reporter.report_record({"name": "own-start", "project": "its own"})
    assert reporter.flush(30)
    start, stop, own = (record for batch in driver.batches for record in batch)
    assert (start["name"], stop["name"]) == ("db-start", "db-stop")
    assert start["trace_id"] == stop["trace_id"] == span.point_id
    assert (start["project"], start["service"]) == ("nova", "api")
    assert start["info"]["db"] == {"statement": "SELECT 1"}
    assert stop["info"]["n"] == 1
    assert (own["project"], own["service"]) == ("its own", "api")


def test_the_start_is_stored_while_the_span_is_open() -> None:
    driver = Batching()
    reporter = QueueReporter(StoreExporter(lambda: driver, "t"))
    traced = Traced(reporter)
    traced.tracer.open_point(traced.root, "hangs")
    assert reporter.flush(30)
    assert [record["name"] for batch in driver.batches for record in batch] == ["hangs-start"]


def test_the_driver_is_made_in_the_reporter_and_again_in_a_child() -> None:
    made: list[Batching] = []

    def make() -> Batching:
        made.append(Batching())
        return made[-1]

    exporter = StoreExporter(make, "t")
    assert not made
    exporter.export(spans(1), 0)
    exporter.export(spans(1), 0)
    assert len(made) == 1
    exporter.after_fork()
    exporter.export(spans(1), 0)
    assert len(made) == 2
    assert made[0] in inherited.kept, "its destructor must not say goodbye on the parent's connection"


def test_a_driver_that_cannot_be_made_yet_is_tried_again() -> None:
    tries = iter([True])

    def make() -> Batching:
        if next(tries, False):
            raise ImportError("no library")
        return Batching()

    exporter = StoreExporter(make, "t")
    with pytest.raises(Transient) as caught:
        exporter.export(spans(1), 0)
    assert caught.value.unreachable
    assert exporter.export(spans(1), 0).delivered == 1


def test_a_driver_without_batches_gets_each_record_once_although_it_failed_between() -> None:
    driver = Stock(fail_at=3)
    reporter = QueueReporter(StoreExporter(lambda: driver, "t"))
    traced = Traced(reporter)
    points = [traced.point("p").point_id for _ in range(4)]
    assert reporter.flush(30)
    assert driver.kept == [uuid for uuid in points for _ in (1, 2)]


def _sql_faults() -> list[Any]:
    away = exc.OperationalError("INSERT", {}, OSError())
    away.connection_invalidated = True
    return [
        (exc.OperationalError(None, None, OSError("connection refused")), True),
        (away, True),
        (exc.OperationalError("INSERT", {}, OSError("packet too large")), False),
        (exc.InterfaceError("INSERT", {}, OSError()), True),
        (exc.ProgrammingError("INSERT", {}, OSError("no such table")), False),
        (exc.InternalError("INSERT", {}, psycopg.errors.ReadOnlySqlTransaction()), True),
        (exc.OperationalError("INSERT", {}, psycopg.errors.DiskFull()), True),
        (exc.OperationalError("INSERT", {}, Exception(1290, "running with the --read-only option")), True),
        (exc.OperationalError("INSERT", {}, Exception(1153, "packet too large")), False),
    ]


class Moved(Batching):
    """Its first connection leads to a server that takes no more records; a new one leads to another server."""

    def close(self) -> None:
        self.fault = None


def test_after_a_fault_the_store_is_connected_to_anew() -> None:
    driver = Moved(exc.InternalError("INSERT", {}, Exception("read-only")))
    reporter = QueueReporter(StoreExporter(lambda: driver, "t"))
    reporter.report_record({"name": "p-start"})
    assert reporter.flush(30)
    assert len(driver.batches) == 1


@pytest.mark.parametrize(
    ("fault", "away"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (RuntimeError(), False),
        (ReadOnlyError(), True),
        (type("OutOfMemoryError", (Exception,), {})(), True),  # redis-py has it since 5.1
        (StoreUnavailable("HTTP status 401"), True),
        (StoreError("HTTP status 500"), False),
        *_sql_faults(),
    ],
)
def test_faults_of_the_store_and_faults_that_may_be_the_batchs(fault: Exception, away: bool) -> None:
    with pytest.raises(Transient) as caught:
        StoreExporter(lambda: Batching(fault), "t").export(spans(2), 0)
    assert caught.value.unreachable is away


@pytest.mark.parametrize(
    "fault", [TypeError(), ValueError(), type("DataError", (Exception,), {})(), RecordsRefused("x")]
)
def test_faults_of_a_value_divide_the_batch(fault: Exception) -> None:
    with pytest.raises(Rejected) as caught:
        StoreExporter(lambda: Batching(fault), "t").export(spans(2), 0)
    assert caught.value.divisible


class Picky(Batching):
    """Refuses the records of this name, and takes all others of a batch."""

    def __init__(self, name: str, offset: int = 0) -> None:
        super().__init__()
        self.name = name
        self.offset = offset

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        refused = [place for place, record in enumerate(records) if record["name"] == self.name]
        self.batches.append([record for record in records if record["name"] != self.name])
        if refused:
            raise RecordsRefused("refused", places=[place + self.offset for place in refused])


@pytest.mark.parametrize(
    ("name", "lost"), [("bad-start", {"dropped_starts.rejected": 1}), ("bad-stop", {"dropped.rejected": 1})]
)
def test_a_record_whose_place_the_store_names_costs_one_request(name: str, lost: dict[str, int]) -> None:
    guard.counters.clear()
    driver = Picky(name)
    reporter = QueueReporter(StoreExporter(lambda: driver, "t"), interval_s=3600)
    traced = Traced(reporter)
    for point in "good", "bad", "good":
        traced.point(point)
    assert not reporter.flush(30), "one was lost"
    (batch,) = driver.batches
    assert len(batch) == 5
    assert counted() == {"queued": 3, "delivered": 3 - lost.get("dropped.rejected", 0), **lost}
    assert not reporter.pending()
    reporter.close()


def test_a_batch_of_refused_records_alone_is_given_up() -> None:
    guard.counters.clear()
    driver = Picky("bad-stop")
    reporter = QueueReporter(StoreExporter(lambda: driver, "t"), interval_s=3600)
    for _ in range(2):
        reporter.report_record({"name": "bad-stop"})
    assert not reporter.flush(30)
    assert driver.batches == [[]]
    assert counted() == {"records": 2, "queued": 2, "dropped.rejected": 2}
    reporter.close()


def test_a_place_that_is_not_in_the_batch_divides_it() -> None:
    with pytest.raises(Rejected) as caught:
        StoreExporter(lambda: Picky("p-stop", offset=2), "t").export(spans(2), 0)
    assert (caught.value.places, caught.value.divisible) == (None, True)


def test_a_span_outside_of_the_calendar_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Batching()
    reporter = QueueReporter(StoreExporter(lambda: driver, "kept://"), interval_s=0.01)
    traced = Traced(reporter)
    traced.point("before")
    in_milliseconds = traced.tracer.start_span("strange", start_time=1.8e12)
    in_milliseconds.set_tag("sampling.priority", 1)
    in_milliseconds.finish()
    traced.point("after")
    assert reporter.flush(5)
    names = [record["name"] for batch in driver.batches for record in batch]
    assert {"before-stop", "after-stop", "strange-stop"} <= set(names)
    assert reporter.close()
