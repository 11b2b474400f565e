# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver: it has the abilities that it declares, and raises one error for all others."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from osprofiler.drivers import search
from osprofiler.drivers.base import Can, Driver, Unsupported
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, essence
from osprofiler.testing.records import OTHER, T0_US, TRACE, span, two_spans


def _lists(traces: object) -> bool:
    return isinstance(traces, list) and [trace["base_id"] for trace in traces] == [TRACE]


#: For each ability: a call, on a store with ``two_spans``, and whether its result is right.
_TRIALS: dict[Can, tuple[Callable[[Driver], object], Callable[[object], bool]]] = {
    Can.WRITE: (lambda driver: driver.write(span(3, 1)), lambda result: result is None),
    Can.READ: (lambda driver: driver.get_report(TRACE), bool),
    Can.READ_RECORDS: (lambda driver: driver.read(TRACE), bool),
    Can.LIST: (lambda driver: driver.list_traces(), _lists),
    Can.LIST_ERRORS: (lambda driver: driver.list_error_traces(), _lists),
    Can.LIST_SERVICES: (lambda driver: driver.list_services(), lambda services: services == [""]),
    Can.DELETE: (lambda driver: driver.delete(TRACE), bool),
    Can.PURGE: (lambda driver: driver.purge(T0_US + 1), lambda count: count == 1),
}

#: Abilities for which the base class has a slower method, and this method.
_IMPROVED = {Can.WRITE_BATCH: "write", Can.SEARCH: "candidates"}


class Abilities(Setting):
    """The declaration ``can`` is true."""

    @guarantee("abilities")
    def test_what_is_declared_works(self, driver: Driver) -> None:
        for ability, (attempt, works) in _TRIALS.items():
            if ability in driver.can:
                driver.write(two_spans())
                error, result = _tried(attempt, driver)
                assert error is None, (ability, error)
                assert works(result), (ability, result)
        for ability, method in _IMPROVED.items():
            if ability in driver.can:
                assert getattr(type(driver), method) is not getattr(Driver, method), ability

    @guarantee("abilities")
    def test_what_is_not_declared_is_refused(self, driver: Driver) -> None:
        if Can.WRITE in driver.can:
            driver.write(two_spans())
        for ability, (attempt, _) in _TRIALS.items():
            if ability not in driver.can:
                error, _ = _tried(attempt, driver)
                assert isinstance(error, Unsupported), (ability, error)
                assert len(str(error).splitlines()) == 1, error

    @guarantee("abilities")
    def test_other_processes_read_what_one_lists(self, driver: Driver, connect: Connect) -> None:
        """While it has not come to the end of its list."""
        if Can.READ_SHARED not in driver.can:
            return
        for base_id in (TRACE, OTHER):
            driver.write(two_spans(base_id))
        marks = iter(search.identified(driver, search.Wanted()))
        assert next(marks)["base_id"] in (TRACE, OTHER)
        readers = [_process(lambda: _read_all(connect())) for _ in range(2)]
        assert [os.waitpid(reader, 0)[1] for reader in readers] == [0, 0]
        assert len(list(marks)) == 1

    @guarantee("abilities")
    def test_an_object_can_do_no_more_than_its_class(self, driver: Driver) -> None:
        assert driver.can <= type(driver).can
        assert isinstance(driver, self.driver_class)


def _read_all(driver: Driver) -> None:
    """Check that *driver* reads both traces whole."""
    assert sorted(mark["base_id"] for mark in driver.list_traces()) == sorted((TRACE, OTHER))
    for base_id in (TRACE, OTHER):
        assert essence(driver.read(base_id)) == essence(two_spans(base_id)), base_id


def _process(work: Callable[[], None]) -> int:
    """Do *work* in another process. Returns the id of the process. Its status is 0 if the work raises nothing."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def _tried(attempt: Callable[[Driver], object], driver: Driver) -> tuple[Exception | None, object]:
    """The exception and the result of *attempt*."""
    try:
        return None, attempt(driver)
    except Exception as error:
        return error, None
