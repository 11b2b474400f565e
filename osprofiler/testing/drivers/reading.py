# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver: a trace is read completely, by its id, and reading does not change the store."""

from __future__ import annotations

import pytest

from osprofiler.drivers.base import Driver
from osprofiler.reports import model
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, essence, wait_for
from osprofiler.testing.records import OTHER, TRACE, point, record, span, two_spans


class Reading(Setting):
    """A trace is all records with its id. Its report is a tree."""

    @guarantee("read")
    def test_another_driver_reads_it(self, driver: Driver, connect: Connect) -> None:
        driver.write(two_spans())
        assert essence(connect().read(TRACE)) == essence(two_spans())

    @guarantee("read")
    @pytest.mark.parametrize("base_id", ["not a uuid", "caf\u00e9 \U0001f600", "a" * 1_000, "%_*?[x]:{}", "b\0c"])
    def test_any_text_may_be_a_base_id(self, driver: Driver, base_id: str) -> None:
        driver.write(two_spans(base_id))
        assert essence(driver.read(base_id)) == essence(two_spans(base_id))

    @guarantee("read")
    def test_ids_that_look_alike_are_different_traces(self, driver: Driver) -> None:
        alike = ["trace", "Trace", "trace ", "trac", "trace*", "a" * 1_000, "a" * 1_001]
        for i, base_id in enumerate(alike, 1):
            driver.write(span(i, i, base_id))
        points = [{stored["trace_id"] for stored in driver.read(base_id)} for base_id in alike]
        assert points == [{point(i)} for i, _ in enumerate(alike, 1)]

    @guarantee("read")
    def test_an_unknown_trace_has_no_records(self, driver: Driver) -> None:
        assert driver.read(TRACE) == []
        driver.write(two_spans())
        assert driver.read(OTHER) == []
        assert driver.get_report(OTHER)["children"] == []

    @guarantee("read")
    def test_many_traces_are_read_like_each_of_them(self, driver: Driver) -> None:
        base_ids = [OTHER, "trace", "Trace", "trace ", "caf\u00e9", "a" * 1_000]
        for base_id in (TRACE, *base_ids):
            driver.write(two_spans(base_id))
        traces = [(base_id, essence(records)) for base_id, records in driver.read_many(["unknown", *base_ids])]
        assert sorted(traces) == sorted((base_id, essence(two_spans(base_id))) for base_id in base_ids)
        assert list(driver.read_many([])) == []

    @guarantee("read")
    def test_the_report_is_a_tree(self, driver: Driver) -> None:
        driver.write(two_spans())
        report = driver.get_report(TRACE)
        (parent,) = report["children"]
        (child,) = parent["children"]
        assert (parent["info"]["name"], parent["info"]["started"], parent["info"]["finished"]) == ("neutron-api", 0, 1)
        assert (child["info"]["started_us"], child["info"]["duration_us"]) == (100, 400)
        assert child["info"]["exception"] == "ValueError"
        assert report["stats"]["neutron-api"]["count"] == 2

    @guarantee("read")
    def test_a_span_that_did_not_end_is_unfinished(self, driver: Driver) -> None:
        driver.write([*two_spans(), record(3, "start", 600, parent=1)])
        driver.close()  # a store of spans sends unfinished ones only now

        def unfinished() -> set[str]:
            trace = model.from_records(driver.read(TRACE))
            return {span_id for span_id, node in trace.spans.items() if not node.finished}

        wait_for(lambda: unfinished() == {point(3)}, "the unfinished span")

    @guarantee("read again, read another")
    def test_reading_again_changes_nothing(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write(span(7, 5, OTHER))
        first = driver.get_report(TRACE)
        assert [child["trace_id"] for child in driver.get_report(OTHER)["children"]] == [point(7)]
        assert driver.get_report(TRACE) == first
