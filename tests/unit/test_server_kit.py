# SPDX-License-Identifier: Apache-2.0
"""The tests' own kit: what it does where something is missing, and how it waits."""

import pytest

from tests import conftest
from tests.servers import Jaeger, Missing, free_port
from tests.waiting import wait_until


@pytest.mark.parametrize("variable", ["CI", "OSPROFILER_REQUIRE_SERVERS"])
def test_what_is_missing_fails_where_nothing_may_be_skipped(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv(variable, "1")
    with pytest.raises(pytest.fail.Exception, match="install this"):
        conftest.missing("install this")


def test_what_is_missing_skips_elsewhere_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("OSPROFILER_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install this"):
        conftest.missing("install this")


def test_a_server_without_its_program_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAEGER_BIN", "/nowhere/jaeger")
    with pytest.raises(Missing, match="make jaeger"):
        Jaeger()


def test_ports_are_not_given_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_waiting_returns_what_it_waited_for_once_it_is_there() -> None:
    answers = iter([None, 0, "there", "later"])
    assert wait_until(lambda: next(answers)) == "there"


def test_waiting_takes_a_failed_assertion_for_not_yet_and_shows_the_last() -> None:
    def never() -> bool:
        raise AssertionError("2 of 3 spans")

    with pytest.raises(TimeoutError, match=r"the trace.*2 of 3 spans"):
        wait_until(never, timeout_s=0, what="the trace")
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0)
