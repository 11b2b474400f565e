# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver: all records are stored, with any content, from any thread or process."""

from __future__ import annotations

import os
import threading

import pytest

from osprofiler.drivers.base import Driver, RecordsRefused
from osprofiler.reports import model
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, essence
from osprofiler.testing.records import HOSTILE, TRACE, point, span, two_spans


class Writing(Setting):
    """Records are read back unchanged."""

    @guarantee("write")
    def test_what_is_written_is_read(self, driver: Driver) -> None:
        written = two_spans()
        driver.write(written)
        assert essence(driver.read(TRACE)) == essence(written)

    @guarantee("write")
    def test_notify_writes_one_record(self, driver: Driver) -> None:
        for record in two_spans():
            driver.notify(record)
        assert essence(driver.read(TRACE)) == essence(two_spans())

    @guarantee("write")
    def test_the_records_stay_the_callers(self, driver: Driver) -> None:
        written = two_spans()
        driver.write(written)
        assert written == two_spans()

    @guarantee("write")
    def test_nothing_written_is_nothing_stored(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write([])
        assert len(driver.read(TRACE)) == 4

    @guarantee("write")
    def test_a_batch_stored_twice_reads_as_once(self, driver: Driver) -> None:
        driver.write(two_spans())
        once = driver.get_report(TRACE)
        driver.write(two_spans())
        assert driver.get_report(TRACE) == once

    @guarantee("write")
    def test_records_say_whose_they_are(self, connect: Connect) -> None:
        connect(project="nova", service="nova-api").write(span(1, 0))
        own = [{**record, "project": "neutron", "service": "neutron-server"} for record in span(2, 1)]
        connect(project="nova", service="nova-api").write(own)
        owners = {record["trace_id"]: (record["project"], record["service"]) for record in connect().read(TRACE)}
        assert owners == {point(1): ("nova", "nova-api"), point(2): ("neutron", "neutron-server")}

    @guarantee("write")
    def test_a_closed_driver_connects_again(self, driver: Driver) -> None:
        driver.write(span(1, 0))
        driver.close()
        driver.write(span(2, 1))
        assert len(driver.read(TRACE)) == 4

    @guarantee("write")
    def test_a_refused_record_is_named_and_not_shown(self, driver: Driver, request: pytest.FixtureRequest) -> None:
        """The error's text has no value of the record. If the error has the place, all other records are stored."""
        if not self.refuses:
            return
        batch = request.getfixturevalue("refuse")()
        batch[-1]["info"]["text"] = "a value of the application"
        error = None
        try:
            driver.write(batch)
        except Exception as raised:
            error = raised
        assert isinstance(error, RecordsRefused), error
        assert "a value of the application" not in str(error)
        if error.places is not None:
            assert list(error.places) == [len(batch) - 1]
            assert essence(driver.read(TRACE)) == essence(batch[:-1])

    @guarantee("unicode")
    def test_hostile_values_come_back_as_they_were(self, driver: Driver) -> None:
        written = span(1, 0, **HOSTILE)
        driver.write(written)
        assert essence(driver.read(TRACE)) == essence(written)

    @guarantee("unicode")
    @pytest.mark.parametrize(
        "name", ["caf\u00e9 \U0001f600", "x" * 1_000, "nul\0", "", "a-start-stop", "'; --", "line\nbreak \u202e"]
    )
    def test_hostile_names_come_back_as_they_were(self, driver: Driver, name: str) -> None:
        driver.write([{**record, "name": record["name"].replace("neutron-api", name)} for record in span(1, 0)])
        assert {record["name"] for record in driver.read(TRACE)} == {f"{name}-start", f"{name}-stop"}

    @guarantee("1 MB info")
    def test_a_long_text_comes_back_whole(self, driver: Driver) -> None:
        written = span(1, 0, text="\u65e5x" * (self.long_text // 2))
        driver.write(written)
        assert essence(driver.read(TRACE)) == essence(written)

    @guarantee("10,000 spans")
    def test_ten_thousand_spans(self, driver: Driver) -> None:
        for begin in range(1, 10_001, 2_500):
            driver.write([record for i in range(begin, begin + 2_500) for record in span(i, i)])
        trace = model.from_records(driver.read(TRACE))
        assert list(trace.spans) == [point(i) for i in range(1, 10_001)]
        assert all(node.duration_us == 50 for node in trace.spans.values())

    @guarantee("writers at once")
    def test_writers_at_the_same_time(self, connect: Connect) -> None:
        """The store is new, so all writers try to set it up at the same time."""
        faults: list[BaseException] = []
        gate = threading.Barrier(4)

        def work(writer: int) -> None:
            try:
                driver = connect()
                gate.wait()
                for i in range(20):
                    driver.write(span(100 * writer + i, i))
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(writer,)) for writer in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        assert len(connect().read(TRACE)) == 160

    @guarantee("fork")
    def test_a_driver_lives_on_in_a_forked_child(self, driver: Driver) -> None:
        driver.write(span(1, 0))
        child = os.fork()
        if not child:
            status = 1
            try:
                driver.write(span(2, 1))
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        driver.write(span(3, 2))
        assert len(driver.read(TRACE)) == 6
