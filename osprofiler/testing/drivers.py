# SPDX-License-Identifier: Apache-2.0
"""The conformance kits for drivers: what every store must do, as tests to inherit.

::

    class TestMyDriver(DriverKit):
        title = "My store"

        @pytest.fixture
        def connect(self):
            return lambda **options: MyDriver("mystore://localhost", **options)

``connect()`` gives a driver on a store that was empty when the test began; called again, another driver on the same
store. A store behind a network inherits from ``ServerKit``, and gives some fixtures more. A driver that cannot do
something says so in the class attributes below. Nothing is skipped for it: the kit then wants it refused, since an
empty answer would read as "there is nothing".
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest

from osprofiler import exc
from osprofiler.drivers import search
from osprofiler.drivers.base import Driver
from osprofiler.records import unreadable
from osprofiler.records.record import timestamp
from osprofiler.reports import model
from osprofiler.testing.records import HOSTILE, OTHER, T0_US, TRACE, point, record, span, two_spans

Connect = Callable[..., Driver]
Plant = Callable[[], int]
F = TypeVar("F", bound=Callable[..., None])

#: What the kits look at, in the order of a table; every test is of one of them.
GUARANTEES = (
    "write",
    "read",
    "read again, read another",
    "list",
    "errors",
    "filters",
    "delete",
    "expiry",
    "unicode",
    "garbage",
    "1 MB info",
    "10,000 spans",
    "writers at once",
    "fork",
    "restart of the server",
    "wrong password",
    "no server",
)

#: The password that is wrong everywhere, and that no message may tell.
WRONG_PASSWORD = "my-secret"

#: How long things are waited for that a server does in its own time, in seconds.
_PATIENCE_S = 90.0


def guarantee(name: str) -> Callable[[F], F]:
    """Decorate a test of the kits: it is of the guarantee *name*."""
    assert name in GUARANTEES, name

    def decorate(test: F) -> F:
        vars(test)["guarantee"] = name
        return test

    return decorate


@dataclass
class OwnServer:
    """A server that may be stopped: how to reach it, to stop it, and to start it once more in the same place."""

    connect: Connect
    stop: Callable[[], None]
    start: Callable[[], None]


def _essence(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must survive a store, without order and without what drivers may add."""
    keys = ("timestamp", "trace_id", "name", "base_id", "parent_id")
    return sorted((*(record[key] for key in keys), json.dumps(record["info"], sort_keys=True)) for record in records)


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
)


class DriverKit:
    """Inherit, and give the fixtures ``connect`` and, if the store can forget, ``forgetful``."""

    #: What a table calls the store.
    title: ClassVar[str] = ""
    lists_errors: ClassVar[bool] = True
    deletes: ClassVar[bool] = True
    #: The store forgets traces by itself. What does not must refuse the option ``ttl``.
    expires: ClassVar[bool] = False
    #: Something else than records can be in the store; give the fixture ``plant`` then.
    takes_garbage: ClassVar[bool] = False
    #: The longest text that the store must keep, in characters.
    long_text: ClassVar[int] = 1_000_000

    @pytest.fixture
    def connect(self) -> Connect:
        raise NotImplementedError("give a fixture 'connect'")

    @pytest.fixture
    def forgetful(self) -> Connect:
        """Gives a driver of which the store forgets what is two seconds old."""
        raise NotImplementedError("give a fixture 'forgetful'")

    @pytest.fixture
    def plant(self) -> Plant:
        """Gives what puts garbage into the store, past the driver: in the trace ``TRACE`` and beside all traces.

        It returns how many things that are. ``osprofiler.testing.records.no_records`` has some.
        """
        raise NotImplementedError("give a fixture 'plant'")

    @pytest.fixture
    def driver(self, connect: Connect) -> Driver:
        return connect()

    @classmethod
    def cell(cls, name: str) -> str:
        """What a table says of the guarantee *name*, if all tests of it pass: ``yes``, ``no``, or how far."""
        if not any(getattr(getattr(cls, each), "guarantee", "") == name for each in dir(cls)):
            return "n/a"
        able = {"errors": cls.lists_errors, "delete": cls.deletes, "expiry": cls.expires}
        if name == "1 MB info" and cls.long_text < 1_000_000:
            return f"{cls.long_text:,} characters"
        if name == "garbage" and not cls.takes_garbage:
            return "n/a"
        return "yes" if able.get(name, True) else "no"

    @guarantee("write")
    def test_what_is_written_is_read(self, driver: Driver) -> None:
        written = two_spans()
        driver.write(written)
        assert _essence(driver.read(TRACE)) == _essence(written)

    @guarantee("write")
    def test_notify_writes_one_record(self, driver: Driver) -> None:
        for each in two_spans():
            driver.notify(each)
        assert _essence(driver.read(TRACE)) == _essence(two_spans())

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
        own = [{**each, "project": "neutron", "service": "neutron-server"} for each in span(2, 1)]
        connect(project="nova", service="nova-api").write(own)
        whose = {each["trace_id"]: (each["project"], each["service"]) for each in connect().read(TRACE)}
        assert whose == {point(1): ("nova", "nova-api"), point(2): ("neutron", "neutron-server")}

    @guarantee("write")
    def test_a_closed_driver_connects_again(self, driver: Driver) -> None:
        driver.write(span(1, 0))
        driver.close()
        driver.write(span(2, 1))
        assert len(driver.read(TRACE)) == 4

    @guarantee("read")
    def test_another_driver_reads_it(self, driver: Driver, connect: Connect) -> None:
        driver.write(two_spans())
        assert _essence(connect().read(TRACE)) == _essence(two_spans())

    @guarantee("read")
    @pytest.mark.parametrize("base_id", ["not a uuid", "caf\u00e9 \U0001f600", "a" * 1_000, "%_*?[x]:{}", "b\0c"])
    def test_any_text_may_be_a_base_id(self, driver: Driver, base_id: str) -> None:
        driver.write(two_spans(base_id))
        assert _essence(driver.read(base_id)) == _essence(two_spans(base_id))

    @guarantee("read")
    def test_ids_that_look_alike_are_different_traces(self, driver: Driver) -> None:
        alike = ["trace", "Trace", "trace ", "trac", "trace*", "a" * 1_000, "a" * 1_001]
        for i, base_id in enumerate(alike, 1):
            driver.write(span(i, i, base_id))
        found = [{each["trace_id"] for each in driver.read(base_id)} for base_id in alike]
        assert found == [{point(i)} for i, _ in enumerate(alike, 1)]

    @guarantee("read")
    def test_an_unknown_trace_has_no_records(self, driver: Driver) -> None:
        assert driver.read(TRACE) == []
        driver.write(two_spans())
        assert driver.read(OTHER) == []
        assert driver.get_report(OTHER)["children"] == []

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
        driver.close()  # a store of whole spans learns here that nothing more comes

        def unfinished() -> set[str]:
            trace = model.from_records(driver.read(TRACE))
            return {each.trace_id for each in trace.spans.values() if not each.finished}

        wait_for(lambda: unfinished() == {point(3)}, "the unfinished span")

    @guarantee("read again, read another")
    def test_reading_again_changes_nothing(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write(span(7, 5, OTHER))
        first = driver.get_report(TRACE)
        assert [child["trace_id"] for child in driver.get_report(OTHER)["children"]] == [point(7)]
        assert driver.get_report(TRACE) == first

    @guarantee("list")
    def test_every_trace_is_listed_once_with_its_first_time(self, driver: Driver) -> None:
        assert list(driver.list_traces()) == []
        driver.write(list(reversed(two_spans())))
        driver.write(span(7, 5_000_000, OTHER))
        found = {trace["base_id"]: trace["timestamp"] for trace in driver.list_traces()}
        assert found == {TRACE: timestamp(T0_US), OTHER: timestamp(T0_US + 5_000_000)}
        assert len(driver.list_traces()) == 2

    @guarantee("list")
    def test_a_list_has_the_fields_asked_for(self, driver: Driver) -> None:
        driver.write(two_spans())
        assert driver.list_traces({"base_id", "name"}) == [{"base_id": TRACE, "name": "neutron-api-start"}]

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
        """With 4.4.0's option, which has a store keep a list of its own of them, and without."""
        driver.filter_error_trace = filter_error_trace
        driver.write(two_spans())
        driver.write([record(7, "start", 5, OTHER, said="no error here, only the word etype")])
        if not self.lists_errors:
            with pytest.raises(NotImplementedError):
                driver.list_error_traces()
            return
        assert [trace["base_id"] for trace in driver.list_error_traces()] == [TRACE]
        driver.write([record(7, "stop", 9, OTHER, osprofiler={"tags": {"error": True}})])
        assert sorted(trace["base_id"] for trace in driver.list_error_traces()) == sorted([TRACE, OTHER])

    @guarantee("filters")
    def test_traces_are_found_by_what_is_in_them(self, connect: Connect) -> None:
        connect(project="nova", service="nova-api").write(two_spans())
        connect(project="glance", service="glance-api").write(span(7, 5_000_000, OTHER))
        reader = connect()
        for wanted, found in _WANTED:
            assert {trace.base_id for trace in search.traces(reader, wanted)} == found, wanted

    @guarantee("delete")
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

    @guarantee("delete")
    def test_old_traces_are_purged_or_purging_is_refused(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write(span(1, 5_000_000, OTHER))
        if not self.deletes:
            with pytest.raises(NotImplementedError):
                driver.purge(T0_US + 1)
            return
        assert driver.purge(T0_US) == 0
        assert driver.purge(T0_US + 1) == 1  # by when a trace began, though it ended later
        assert driver.read(TRACE) == []
        assert len(driver.read(OTHER)) == 2

    @guarantee("expiry")
    def test_old_traces_are_forgotten_or_that_is_refused(self, forgetful: Connect) -> None:
        if not self.expires:
            with pytest.raises(ValueError, match="ttl"):
                forgetful()
            return
        driver = forgetful()
        driver.write(two_spans())
        wait_for(lambda: not driver.read(TRACE), "the store to forget")
        assert list(driver.list_traces()) == []
        assert list(driver.list_error_traces()) == []

    @guarantee("unicode")
    def test_hostile_values_come_back_as_they_were(self, driver: Driver) -> None:
        written = span(1, 0, **HOSTILE)
        driver.write(written)
        assert _essence(driver.read(TRACE)) == _essence(written)

    @guarantee("unicode")
    @pytest.mark.parametrize(
        "name", ["caf\u00e9 \U0001f600", "x" * 1_000, "nul\0", "", "a-start-stop", "'; --", "line\nbreak \u202e"]
    )
    def test_hostile_names_come_back_as_they_were(self, driver: Driver, name: str) -> None:
        driver.write([{**each, "name": each["name"].replace("neutron-api", name)} for each in span(1, 0)])
        assert {each["name"] for each in driver.read(TRACE)} == {f"{name}-start", f"{name}-stop"}

    @guarantee("garbage")
    def test_garbage_ends_nothing_and_is_named(self, driver: Driver, request: pytest.FixtureRequest) -> None:
        driver.write(two_spans())
        driver.write(span(7, 5_000_000, OTHER))
        planted = request.getfixturevalue("plant")() if self.takes_garbage else 0
        with unreadable.collected() as ledger:
            assert _essence(driver.read(TRACE)) == _essence(two_spans())
            found = {trace["base_id"]: trace["timestamp"] for trace in driver.list_traces()}
            assert found == {TRACE: timestamp(T0_US), OTHER: timestamp(T0_US + 5_000_000)}
            if self.lists_errors:
                assert [trace["base_id"] for trace in driver.list_error_traces()] == [TRACE]
            assert {trace.base_id for trace in search.traces(driver, search.Wanted())} == {TRACE, OTHER}
        assert ledger.skipped == planted, list(ledger.lines())
        if self.deletes:
            assert driver.purge(T0_US + 1) == 1
            assert (driver.read(TRACE), len(driver.read(OTHER))) == ([], 2)

    @guarantee("1 MB info")
    def test_a_long_text_comes_back_whole(self, driver: Driver) -> None:
        written = span(1, 0, text="\u65e5x" * (self.long_text // 2))
        driver.write(written)
        assert _essence(driver.read(TRACE)) == _essence(written)

    @guarantee("10,000 spans")
    def test_ten_thousand_spans(self, driver: Driver) -> None:
        for begin in range(1, 10_001, 2_500):
            driver.write([each for i in range(begin, begin + 2_500) for each in span(i, i)])
        trace = model.from_records(driver.read(TRACE))
        assert [each.trace_id for each in trace.spans.values()] == [point(i) for i in range(1, 10_001)]
        assert all(each.duration_us == 50 for each in trace.spans.values())

    @guarantee("writers at once")
    def test_writers_at_the_same_time(self, connect: Connect) -> None:
        """Each on a store that nobody has used yet, so that all of them want to set it up."""
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


class ServerKit(DriverKit):
    """For a store behind a network: give the fixtures ``own_server``, ``denied`` and ``absent`` as well."""

    #: What was written before the server stopped is there when it has started again.
    survives: ClassVar[bool] = True

    @pytest.fixture
    def own_server(self) -> OwnServer:
        """A server that this test may stop."""
        raise NotImplementedError("give a fixture 'own_server'")

    @pytest.fixture
    def denied(self) -> Driver:
        """A driver whose connection string has ``WRONG_PASSWORD`` for a password."""
        raise NotImplementedError("give a fixture 'denied'")

    @pytest.fixture
    def absent(self) -> Driver:
        """A driver whose connection string names a port at which nothing listens, and ``WRONG_PASSWORD``."""
        raise NotImplementedError("give a fixture 'absent'")

    @classmethod
    def cell(cls, name: str) -> str:
        said = super().cell(name)
        return "yes; what it had is lost" if name == "restart of the server" and not cls.survives else said

    @guarantee("restart of the server")
    def test_a_server_that_stops_and_starts_again(self, own_server: OwnServer) -> None:
        """A batch that could not be stored raises, and can be stored by the same driver once the server is back."""
        driver = own_server.connect()
        driver.write(two_spans())
        own_server.stop()
        _is_refused(driver)
        own_server.start()
        wait_for(lambda: _is_written(driver, span(3, 9)), "the driver to write again")
        expected = {point(1), point(2), point(3)} if self.survives else {point(3)}
        wait_for(lambda: {each["trace_id"] for each in driver.read(TRACE)} == expected, "all to be read")
        assert {each["trace_id"] for each in own_server.connect().read(TRACE)} == expected

    @guarantee("wrong password")
    def test_a_wrong_password_is_one_line_that_does_not_tell_it(self, denied: Driver) -> None:
        _is_refused(denied)

    @guarantee("no server")
    def test_a_server_that_is_not_there_is_one_line(self, absent: Driver) -> None:
        _is_refused(absent)


def _is_refused(driver: Driver) -> None:
    """Writing raises, and reading says in one line why; neither tells the password."""
    with pytest.raises(Exception, match=r".") as written:
        driver.write(two_spans())
    assert WRONG_PASSWORD not in str(written.value)
    with pytest.raises(exc.CommandError) as read:
        driver.read(TRACE)
    assert WRONG_PASSWORD not in str(read.value)
    assert len(str(read.value).splitlines()) == 1


def _is_written(driver: Driver, records: list[dict[str, Any]]) -> bool:
    try:
        driver.write(records)
    except Exception:
        return False
    return True


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return when *condition* holds. Raises TimeoutError, which says *what* was waited for, if it never does."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {_PATIENCE_S:.0f} s for {what}")
        time.sleep(0.05)
