# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver of a store behind a network: the server stops, is not there, or does not let us in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Driver, StoreError, StoreUnavailable
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, wait_for
from osprofiler.testing.records import TRACE, point, span, two_spans

#: The password that is wrong everywhere, and that no message may tell.
WRONG_PASSWORD = "my-secret"


@dataclass
class OwnServer:
    """A server that may be stopped: how to reach it, to stop it, and to start it once more in the same place."""

    connect: Connect
    stop: Callable[[], None]
    start: Callable[[], None]


class Outages(Setting):
    """A driver says that its server is away, and goes on when it is back."""

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
        if name == "restart of the server" and not cls.survives:
            return "yes; what it had is lost"
        return super().cell(name)

    @guarantee("restart of the server")
    def test_a_server_that_stops_and_starts_again(self, own_server: OwnServer) -> None:
        """A batch that could not be stored raises, and can be stored by the same driver once the server is back."""
        driver = own_server.connect()
        driver.write(two_spans())
        own_server.stop()
        _assert_refused(driver, StoreUnavailable)
        own_server.start()
        wait_for(lambda: _is_written(driver, span(3, 9)), "the driver to write again")
        expected = {point(1), point(2), point(3)} if self.survives else {point(3)}
        wait_for(lambda: {each["trace_id"] for each in driver.read(TRACE)} == expected, "all to be read")
        assert {each["trace_id"] for each in own_server.connect().read(TRACE)} == expected

    @guarantee("wrong password")
    def test_a_wrong_password_is_one_line_that_does_not_tell_it(self, denied: Driver) -> None:
        _assert_refused(denied, StoreError)

    @guarantee("no server")
    def test_a_server_that_is_not_there_is_one_line(self, absent: Driver) -> None:
        _assert_refused(absent, StoreUnavailable)


def _assert_refused(driver: Driver, kind: type[StoreError]) -> None:
    """Writing raises an error of *kind*, and reading says why in one line; neither shows the password."""
    error = None
    try:
        driver.write(two_spans())
    except Exception as raised:
        error = raised
    assert isinstance(error, kind), error
    assert WRONG_PASSWORD not in str(error)
    with pytest.raises(StoreError) as read:
        driver.read(TRACE)
    assert WRONG_PASSWORD not in str(read.value)
    assert len(str(read.value).splitlines()) == 1


def _is_written(driver: Driver, records: list[dict[str, Any]]) -> bool:
    try:
        driver.write(records)
    except StoreError:
        return False
    return True
