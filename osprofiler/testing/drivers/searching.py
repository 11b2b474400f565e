# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver: traces are listed, and found by their content. Garbage in the store hides no trace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from osprofiler.drivers import search
from osprofiler.drivers.base import Can, Driver, Unsupported
from osprofiler.records import names, unreadable
from osprofiler.records.record import timestamp
from osprofiler.reports import model, wording
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, essence
from osprofiler.testing.records import OTHER, T0_US, TRACE, record, span, two_spans

_WANTED: tuple[tuple[search.Wanted, set[str]], ...] = (
    (search.Wanted(service="glance-api", operation="neutron-???"), {OTHER}),
    (search.Wanted(service="keystone-*"), set()),
    (search.Wanted(service="*-api", min_duration_us=400), {TRACE}),
    (search.Wanted(service="*-api", since_us=T0_US + 1), {OTHER}),
    (search.Wanted(service="nova-api", error=True), {TRACE}),
    (search.Wanted(service="glance-api", error=True), set()),
    (search.Wanted(error=True), {TRACE}),
    (search.Wanted(since_us=T0_US + 1), {OTHER}),
    (search.Wanted(until_us=T0_US + 1), {TRACE}),
    (search.Wanted(limit=1), {OTHER}),
    (search.Wanted(tags=((names.REQUEST_ID, "req-1"),)), {OTHER}),
    (search.Wanted(tags=((names.REQUEST_ID, "req-*"), ("attempt", "2"), ("retried", "true"))), {OTHER}),
    (search.Wanted(tags=((names.REQUEST_ID, "req-1"), ("attempt", "3"))), set()),
    (search.Wanted(service="nova-api", tags=((names.REQUEST_ID, "req-1"),)), set()),
)

_TAGS = {names.REQUEST_ID: "req-1", "attempt": 2, "retried": True}

#: The traces of a test of many: more than a page of a driver.
_MANY = 600


def _many_id(number: int) -> str:
    return f"6b1f7f9e-4a36-4a53-9c0f-{number:012x}"


def _group(number: int) -> int:
    """Three traces each begin at the same time."""
    return number * 7 % _MANY // 3


def _one_of_many(number: int) -> list[dict[str, Any]]:
    """The records of one trace of many. Those of glance have an odd number, and every fifth trace has an error."""
    start, stop = span(number + 1, 1_000 * _group(number), _many_id(number))
    if number % 5 == 0:
        stop["info"] = {**stop["info"], "etype": "ValueError", "message": "no"}
    service = "glance-api" if number % 2 else "nova-api"
    return [{**each, "project": service[:-4], "service": service} for each in (start, stop)]


_BEGIN_US, _END_US = T0_US + 100 * 1_000, T0_US + 120 * 1_000
_LATE = [number for number in range(_MANY) if 100 <= _group(number) < 120]
_OF_MANY: tuple[tuple[search.Wanted, Iterable[int]], ...] = (
    (search.Wanted(), range(_MANY)),
    (search.Wanted(limit=7), range(_MANY)),
    (search.Wanted(limit=_MANY - 1), range(_MANY)),
    (search.Wanted(until_us=_END_US, limit=50), [number for number in range(_MANY) if _group(number) < 120]),
    (search.Wanted(since_us=_BEGIN_US, until_us=_END_US), _LATE),
    (search.Wanted(error=True), range(0, _MANY, 5)),
    (search.Wanted(error=True, since_us=_BEGIN_US, limit=20), [n for n in range(0, _MANY, 5) if _group(n) >= 100]),
    (search.Wanted("glance-*", since_us=_BEGIN_US, until_us=_END_US, limit=9), [n for n in _LATE if n % 2]),
    (search.Wanted("nova-api", error=True, since_us=_BEGIN_US, until_us=_END_US), [n for n in _LATE if n % 10 == 0]),
)


#: Project and service; two pairs have the same name.
_SERVICES = (
    ("nova", "nova-api"),
    (None, "nova-api"),
    ("nova", "scheduler"),
    ("cinder", "scheduler"),
    ("glance", None),
    (None, None),
    ("caf\u00e9", "\U0001f600 ~\\"),
    ("long", "x" * 1_000),
)


class Searching(Setting):
    """Every trace is listed once. A search finds the matching traces and no others."""

    @guarantee("list")
    def test_every_trace_is_listed_once_with_its_first_time(self, driver: Driver) -> None:
        assert list(driver.list_traces()) == []
        driver.write(list(reversed(two_spans())))
        driver.write(span(7, 5_000_000, OTHER))
        times = {trace["base_id"]: trace["timestamp"] for trace in driver.list_traces()}
        assert times == {TRACE: timestamp(T0_US), OTHER: timestamp(T0_US + 5_000_000)}
        assert len(driver.list_traces()) == 2

    @guarantee("list")
    def test_a_list_has_the_fields_asked_for(self, driver: Driver) -> None:
        driver.write(two_spans())
        assert driver.list_traces({"base_id", "name"}) == [{"base_id": TRACE, "name": "neutron-api-start"}]

    @guarantee("list")
    def test_services_are_listed_as_reports_show_them(self, connect: Connect) -> None:
        """Each once, also those with unusual names. A store that cannot do so says so."""
        reader = connect()
        if Can.LIST_SERVICES not in reader.can:
            with pytest.raises(Unsupported):
                reader.list_services()
            return
        for number, (project, service) in enumerate(_SERVICES, 1):
            connect(project=project, service=service).write([*span(2 * number, 0), *span(2 * number + 1, 1, OTHER)])
        traces = [model.from_records(reader.read(base_id)) for base_id in (TRACE, OTHER)]
        shown = {wording.place(node) for trace in traces for node in trace.spans.values()}
        assert len(shown) == len(_SERVICES) - 1
        assert sorted(reader.list_services()) == sorted(shown)

    @guarantee("list")
    def test_ids_are_found_by_their_parts(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write(span(7, 5_000_000, OTHER))
        whole = [([TRACE], {"prefix": TRACE[:6]}), ([OTHER], {"suffix": OTHER[-17:]}), ([TRACE, OTHER], {})]
        for wanted, part in [*whole, *(([], {"prefix": other}) for other in ("%", "_", "*", "?", TRACE[:5].upper()))]:
            assert sorted(driver.find_ids(**part)) == sorted(wanted), part

    @guarantee("errors")
    @pytest.mark.parametrize("filter_error_trace", [False, True])
    def test_errors_are_listed_or_listing_is_refused(self, driver: Driver, filter_error_trace: bool) -> None:
        """With and without 4.4.0's option, with which a store has a separate list of failed traces."""
        driver.filter_error_trace = filter_error_trace
        driver.write(two_spans())
        driver.write([record(7, "start", 5, OTHER, note="no error here, only the word etype")])
        if Can.LIST_ERRORS not in driver.can:
            with pytest.raises(Unsupported):
                driver.list_error_traces()
            return
        assert [trace["base_id"] for trace in driver.list_error_traces()] == [TRACE]
        driver.write([record(7, "stop", 9, OTHER, osprofiler={"tags": {"error": True}})])
        assert sorted(trace["base_id"] for trace in driver.list_error_traces()) == sorted([TRACE, OTHER])

    @guarantee("filters")
    def test_traces_are_found_by_what_is_in_them(self, connect: Connect) -> None:
        connect(project="nova", service="nova-api").write(two_spans())
        start, stop = span(7, 5_000_000, OTHER)
        tagged = {**stop, "info": {**stop["info"], names.RESERVED: {"tags": _TAGS}}}
        connect(project="glance", service="glance-api").write([start, tagged])
        reader = connect()
        for wanted, base_ids in _WANTED:
            assert {trace.base_id for trace in search.traces(reader, wanted)} == base_ids, wanted

    @guarantee("filters")
    def test_the_newest_come_first(self, driver: Driver) -> None:
        """Each once, over the pages of the driver, also if they began at the same time; all conditions together."""
        for begin in range(0, _MANY, 200):
            driver.write([each for number in range(begin, begin + 200) for each in _one_of_many(number)])
        for wanted, numbers in _OF_MANY:
            matching = {_many_id(number): _group(number) for number in numbers}
            if search.must_read(driver, wanted):
                base_ids = [trace.base_id for trace in search.traces(driver, wanted)]
            else:
                base_ids = [mark["base_id"] for mark in search.identified(driver, wanted)]
            assert len(set(base_ids)) == len(base_ids), wanted
            assert set(base_ids) <= matching.keys(), wanted
            groups = [matching[base_id] for base_id in base_ids]
            assert groups == sorted(matching.values(), reverse=True)[: wanted.limit], wanted

    @guarantee("filters")
    def test_traces_are_written_while_they_are_listed(self, driver: Driver) -> None:
        for begin in range(0, _MANY, 200):
            driver.write([each for number in range(begin, begin + 200) for each in _one_of_many(number)])
        marks = iter(search.identified(driver, search.Wanted()))
        base_ids = [next(marks)["base_id"] for _ in range(10)]
        driver.write(span(_MANY + 1, 1_000_000))
        driver.write(span(_MANY + 2, -1_000, base_ids[0]))  # it began before all others
        base_ids += [mark["base_id"] for mark in marks if mark["base_id"] != TRACE]
        assert sorted(base_ids) == sorted(_many_id(number) for number in range(_MANY))

    @guarantee("garbage")
    def test_garbage_ends_nothing_and_is_named(self, driver: Driver, request: pytest.FixtureRequest) -> None:
        driver.write(two_spans())
        driver.write(span(7, 5_000_000, OTHER))
        planted = request.getfixturevalue("plant")() if self.takes_garbage else 0
        with unreadable.collected() as ledger:
            assert essence(driver.read(TRACE)) == essence(two_spans())
            times = {trace["base_id"]: trace["timestamp"] for trace in driver.list_traces()}
            assert times == {TRACE: timestamp(T0_US), OTHER: timestamp(T0_US + 5_000_000)}
            if Can.LIST_ERRORS in driver.can:
                assert [trace["base_id"] for trace in driver.list_error_traces()] == [TRACE]
            assert {trace.base_id for trace in search.traces(driver, search.Wanted())} == {TRACE, OTHER}
        assert ledger.skipped == planted, list(ledger.lines())
        if Can.PURGE in driver.can:
            assert driver.purge(T0_US + 1) == 1
            assert (driver.read(TRACE), len(driver.read(OTHER))) == ([], 2)
