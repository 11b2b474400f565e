# SPDX-License-Identifier: Apache-2.0
"""Tests of a driver: traces are deleted, purged and expire, or the driver refuses that."""

from __future__ import annotations

import pytest

from osprofiler.drivers.base import Can, Driver, Unsupported
from osprofiler.testing.drivers.guarantees import guarantee
from osprofiler.testing.drivers.setting import Connect, Setting, wait_for
from osprofiler.testing.records import OTHER, T0_US, TRACE, span, two_spans


class Removing(Setting):
    """Removed traces are gone, and all others stay."""

    @guarantee("delete")
    def test_a_trace_is_deleted_or_deleting_is_refused(self, driver: Driver) -> None:
        driver.write(two_spans())
        driver.write(two_spans(OTHER))
        if Can.DELETE not in driver.can:
            with pytest.raises(Unsupported):
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
        if Can.PURGE not in driver.can:
            with pytest.raises(Unsupported):
                driver.purge(T0_US + 1)
            return
        assert driver.purge(T0_US) == 0
        assert driver.purge(T0_US + 1) == 1  # the start of a trace counts, although it ended later
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
        wait_for(lambda: not driver.read(TRACE), "the trace to expire")
        assert list(driver.list_traces()) == []
        assert list(driver.list_error_traces()) == []
