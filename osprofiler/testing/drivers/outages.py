# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver of a store behind a network: the server stops, is away, or refuses the password."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Driver, StoreError, StoreUnavailable
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, wait_for
from osprofiler.testing.records import TRACE, point, span, two_spans

#: A password that is wrong for every server. No message may show it.
WRONG_PASSWORD = "my-secret"


@dataclass
class OwnServer:
    """A server that the test may stop, and start again at the same address."""

    connect: Connect
    stop: Callable[[], None]
    start: Callable[[], None]


class Outages(Setting):
    """A driver reports that its server is away, and works again when the server is back."""

    #: Whether the traces survive a restart of the server.
    survives: ClassVar[bool] = True

    @pytest.fixture
    def own_server(self) -> OwnServer:
        """A server that this test may stop."""
        raise NotImplementedError("override the fixture 'own_server'")

    @pytest.fixture
    def denied(self) -> Driver:
        """A driver whose connection string has the password ``WRONG_PASSWORD``."""
        raise NotImplementedError("override the fixture 'denied'")

    @pytest.fixture
    def absent(self) -> Driver:
        """A driver whose connection string has ``WRONG_PASSWORD``, and a port where no server listens."""
        raise NotImplementedError("override the fixture 'absent'")

    @classmethod
    def cell(cls, name: str) -> str:
        if name == "restart of the server" and not cls.survives:
            return "yes; its traces are lost"
        return super().cell(name)

    @guarantee("restart of the server")
    def test_a_server_that_stops_and_starts_again(self, own_server: OwnServer) -> None:
        """Without the server, a batch raises StoreUnavailable. When it is back, the same driver stores the batch."""
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
    """Check that writing raises *kind*, and reading StoreError with one line. Neither may show the password."""
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
