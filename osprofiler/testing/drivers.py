# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for drivers: what every store must do, as tests to inherit.

::

    class TestMyDriver(DriverKit):
        @pytest.fixture
        def connect(self):
            return lambda **options: MyDriver("mystore://localhost", **options)

``connect()`` gives a driver on a store that was empty when the test began; called again, another driver on the same
store. A driver that cannot do something says so in the class attributes below. Nothing is skipped for it: the kit then
wants NotImplementedError, since an empty answer would read as "there is nothing".
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Driver
from osprofiler.records import timestamp
from osprofiler.reports import model

Connect = Callable[..., Driver]

#: When the records of the kit begin, in microseconds since the epoch.
T0_US = 1_795_000_000_000_000

TRACE, OTHER = "6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11", "0e0c1c9a-7d0e-4b7e-8e57-3f4f0c6c2a22"

# What has broken a store before: NUL, four-byte characters, quotes, the store's own notations, depth.
HOSTILE: dict[str, Any] = {
    "text": "NUL \0, emoji \U0001f600, \u65e5\u672c, 'quote' \"double\" \\ back, %s {} $where, line\nbreak",
    "dotted.key": 1,
    "$key": {"": {"a": [1, 2.5, None, True, {"b": []}]}},
    "large": 2**62,
    "negative": -1.25,
    "empty": {},
}


def record(number: int, phase: str, at_us: int, base_id: str = TRACE, parent: int = 0, **info: Any) -> dict[str, Any]:
    """A record of span *number*; parent 0 is the trace's virtual root."""
    return {
        "name": f"neutron-api-{phase}",
        "base_id": base_id,
        "trace_id": point(number),
        "parent_id": point(parent) if parent else base_id,
        "timestamp": timestamp(T0_US + at_us),
        "info": {"host": "kit", **info},
    }


def point(number: int) -> str:
    """The id of span *number*."""
    return f"6b1f7f9e-4a36-4a53-0000-{number:012x}"


def two_spans(base_id: str = TRACE) -> list[dict[str, Any]]:
    """A parent of 1,000 us, and a child of 400 that failed."""
    return [
        record(1, "start", 0, base_id),
        record(2, "start", 100, base_id, parent=1),
        record(2, "stop", 500, base_id, parent=1, etype="ValueError", message="no"),
        record(1, "stop", 1_000, base_id),
    ]


def _essence(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must survive a store, without order and without what drivers may add."""
    keys = ("timestamp", "trace_id", "name", "base_id", "parent_id")
    return sorted((*(record[key] for key in keys), repr(record["info"])) for record in records)


class DriverKit:
    """Inherit, and give the fixture ``connect``."""

    lists_errors: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    #: The longest text that the store must keep, in characters.
    long_text: ClassVar[int] = 1_000_000

    @pytest.fixture
    def connect(self) -> Connect:
        raise NotImplementedError("give a fixture 'connect'")

    @pytest.fixture
    def driver(self, connect: Connect) -> Driver:
        return connect()

    def test_what_is_written_is_read(self, driver: Driver) -> None:
        written = two_spans()
        driver.write(written)
        assert _essence(driver.read(TRACE)) == _essence(written)

    def test_another_process_reads_it(self, driver: Driver, connect: Connect) -> None:
        driver.write(two_spans())
        assert _essence(connect().read(TRACE)) == _essence(two_spans())

    def test_notify_writes_one_record(self, driver: Driver) -> None:
        for each in two_spans():
            driver.notify(each)
        assert _essence(driver.read(TRACE)) == _essence(two_spans())

    def test_the_records_stay_the_callers(self, driver: Driver) -> None:
        written = two_spans()
        driver.write(written)
        assert written == two_spans()

    def test_nothing_written_is_nothing_stored(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write([])
        assert len(driver.read(TRACE)) == 4

    def test_hostile_values_come_back_as_they_were(self, driver: Driver) -> None:
        written = [record(1, "start", 0, **HOSTILE)]
        driver.write(written)
        assert [each["info"] for each in driver.read(TRACE)] == [written[0]["info"]]

    @pytest.mark.parametrize(
        "name",
        ["caf\u00e9 \U0001f600-start", "x" * 1_000 + "-start", "nul\0-start", "-start", "a-start-stop-start", "'; --"],
    )
    def test_hostile_names_come_back_as_they_were(self, driver: Driver, name: str) -> None:
        driver.write([{**record(1, "start", 0), "name": name}])
        assert [each["name"] for each in driver.read(TRACE)] == [name]

    @pytest.mark.parametrize("base_id", ["not a uuid", "caf\u00e9 \U0001f600", "a" * 1_000, "%_*?[x]:{}", "b\0c"])
    def test_any_text_may_be_a_base_id(self, driver: Driver, base_id: str) -> None:
        driver.write(two_spans(base_id))
        assert _essence(driver.read(base_id)) == _essence(two_spans(base_id))

    def test_ids_that_look_alike_are_different_traces(self, driver: Driver) -> None:
        alike = ["trace", "Trace", "trace ", "trac", "trace*", "a" * 1_000, "a" * 1_001]
        for i, base_id in enumerate(alike, 1):
            driver.write([record(i, "start", i, base_id)])
        found = [[each["trace_id"] for each in driver.read(base_id)] for base_id in alike]
        assert found == [[point(i)] for i, _ in enumerate(alike, 1)]

    def test_a_long_text_comes_back_whole(self, driver: Driver) -> None:
        text = "\u65e5x" * (self.long_text // 2)
        driver.write([record(1, "start", 0, text=text)])
        assert driver.read(TRACE)[0]["info"]["text"] == text

    def test_records_say_whose_they_are(self, connect: Connect) -> None:
        connect(project="nova", service="nova-api").write([record(1, "start", 0)])
        own = {**record(2, "start", 1), "project": "neutron", "service": "neutron-server"}
        connect(project="nova", service="nova-api").write([own])
        whose = {each["trace_id"]: (each["project"], each["service"]) for each in connect().read(TRACE)}
        assert whose == {point(1): ("nova", "nova-api"), point(2): ("neutron", "neutron-server")}

    def test_an_unknown_trace_has_no_records(self, driver: Driver) -> None:
        assert driver.read(TRACE) == []
        driver.write(two_spans())
        assert driver.read(OTHER) == []
        assert driver.get_report(OTHER)["children"] == []

    def test_reading_again_changes_nothing(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write([record(7, "start", 5, OTHER)])
        first = driver.get_report(TRACE)
        assert [child["trace_id"] for child in driver.get_report(OTHER)["children"]] == [point(7)]
        assert driver.get_report(TRACE) == first

    def test_the_report_is_a_tree(self, driver: Driver) -> None:
        driver.write(two_spans())
        report = driver.get_report(TRACE)
        (parent,) = report["children"]
        (child,) = parent["children"]
        assert (parent["info"]["name"], parent["info"]["started"], parent["info"]["finished"]) == ("neutron-api", 0, 1)
        assert (child["info"]["started_us"], child["info"]["duration_us"]) == (100, 400)
        assert child["info"]["exception"] == "ValueError"
        assert report["stats"]["neutron-api"]["count"] == 2

    def test_a_span_that_did_not_end_is_unfinished(self, driver: Driver) -> None:
        driver.write([*two_spans(), record(3, "start", 600, parent=1)])
        trace = model.from_records(driver.read(TRACE))
        assert {span.trace_id for span in trace.spans.values() if not span.finished} == {point(3)}

    def test_a_batch_stored_twice_reads_as_once(self, driver: Driver) -> None:
        driver.write(two_spans())
        once = driver.get_report(TRACE)
        driver.write(two_spans())
        assert driver.get_report(TRACE) == once

    def test_every_trace_is_listed_once_with_its_first_time(self, driver: Driver) -> None:
        assert list(driver.list_traces()) == []
        driver.write(list(reversed(two_spans())))
        driver.write([record(7, "start", 5_000_000, OTHER)])
        found = {trace["base_id"]: trace["timestamp"] for trace in driver.list_traces()}
        assert found == {TRACE: timestamp(T0_US), OTHER: timestamp(T0_US + 5_000_000)}
        assert len(driver.list_traces()) == 2

    def test_a_list_has_the_fields_asked_for(self, driver: Driver) -> None:
        driver.write(two_spans())
        assert driver.list_traces({"base_id", "name"}) == [{"base_id": TRACE, "name": "neutron-api-start"}]

    def test_errors_are_listed_or_listing_is_refused(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write([record(7, "start", 5, OTHER, said="no error here, only the word etype")])
        if not self.lists_errors:
            with pytest.raises(NotImplementedError):
                driver.list_error_traces()
            return
        assert [trace["base_id"] for trace in driver.list_error_traces()] == [TRACE]
        driver.write([record(7, "stop", 9, OTHER, osprofiler={"tags": {"error": True}})])
        assert sorted(trace["base_id"] for trace in driver.list_error_traces()) == sorted([TRACE, OTHER])

    def test_a_trace_is_deleted_or_deleting_is_refused(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write(two_spans(OTHER))
        if not self.deletes:
            with pytest.raises(NotImplementedError):
                driver.delete(TRACE)
            return
        assert driver.delete(TRACE) == 4
        assert driver.read(TRACE) == []
        assert len(driver.read(OTHER)) == 4
        assert driver.delete(TRACE) == 0

    def test_old_traces_are_purged_or_purging_is_refused(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write([record(1, "start", 5_000_000, OTHER), record(1, "stop", 5_000_009, OTHER)])
        if not self.deletes:
            with pytest.raises(NotImplementedError):
                driver.purge(T0_US + 1)
            return
        assert driver.purge(T0_US) == 0
        assert driver.purge(T0_US + 1) == 1  # by when a trace began, though it ended later
        assert driver.read(TRACE) == []
        assert len(driver.read(OTHER)) == 2

    def test_ten_thousand_spans(self, driver: Driver) -> None:
        for begin in range(1, 10_001, 500):
            batch = [record(i, phase, i + late) for i in range(begin, begin + 500) for phase, late in _PHASES]
            driver.write(batch)
        trace = model.from_records(driver.read(TRACE))
        assert [span.trace_id for span in trace.spans.values()] == [point(i) for i in range(1, 10_001)]
        assert all(span.duration_us == 50 for span in trace.spans.values())

    def test_writers_at_the_same_time(self, connect: Connect) -> None:
        """Each on a store that nobody has used yet, so that all of them want to set it up."""
        faults: list[BaseException] = []
        gate = threading.Barrier(4)

        def work(writer: int) -> None:
            try:
                driver = connect()
                gate.wait()
                for i in range(20):
                    driver.write([record(100 * writer + i, "start", i)])
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(writer,)) for writer in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        assert len(connect().read(TRACE)) == 80

    def test_a_driver_lives_on_in_a_forked_child(self, driver: Driver) -> None:
        driver.write([record(1, "start", 0)])
        child = os.fork()
        if not child:
            status = 1
            try:
                driver.write([record(2, "start", 1)])
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        driver.write([record(3, "start", 2)])
        assert len(driver.read(TRACE)) == 3

    def test_a_closed_driver_connects_again(self, driver: Driver) -> None:
        driver.write([record(1, "start", 0)])
        driver.close()
        driver.write([record(2, "start", 1)])
        assert len(driver.read(TRACE)) == 2


_PHASES = (("start", 0), ("stop", 50))
