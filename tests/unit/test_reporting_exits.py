# SPDX-License-Identifier: Apache-2.0
"""The deadline that the hooks of one exit have in common."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from osprofiler import _settings
from osprofiler.opentracing_compat.reporting import exits


class Slow:
    """A reporter that takes *needs_s* seconds of the test's clock for a flush, or all the time that it is given."""

    def __init__(self, clock: Any, needs_s: float) -> None:
        self.clock, self.needs_s, self.left = clock, needs_s, 0

    def flush(self, timeout_s: float) -> None:
        took_s = min(self.needs_s, timeout_s)
        self.clock.now += took_s
        if took_s == self.needs_s:
            self.left = 0

    def pending(self) -> int:
        return self.left


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Slow]:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(exits, "_deadline", 0.0)
    monkeypatch.setattr(exits, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def make(needs_s: float) -> Slow:
        made = Slow(clock, needs_s)
        monkeypatch.setattr(exits.reporter, "living", lambda: [made])
        return made

    return make


def test_what_ends_after_an_earlier_hook_has_a_deadline_of_its_own(reporter: Callable[[float], Slow]) -> None:
    deadline_s = _settings.current().flush_timeout_s
    slow = reporter(deadline_s / 2)
    for _ in ("the reload, or the begin of a graceful stop", "the stop, or its end"):
        slow.left = 1
        exits.at_exit()
        assert slow.left == 0
        slow.clock.now += deadline_s  # what the service did meanwhile


def test_hooks_that_wait_in_vain_take_one_deadline_together(reporter: Callable[[float], Slow]) -> None:
    deadline_s = _settings.current().flush_timeout_s
    away = reporter(10 * deadline_s)
    away.left = 1
    began = away.clock.now
    for _ in range(3):
        exits.at_exit()
    assert away.clock.now - began == pytest.approx(deadline_s)
