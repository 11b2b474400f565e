# SPDX-License-Identifier: Apache-2.0
"""The hooks of one exit share a deadline, and log how much is left."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from osprofiler import config
from osprofiler._runtime import ending
from osprofiler.delivery import exits
from osprofiler.delivery.queue import Recorded, Started
from osprofiler.delivery.reporter import QueueReporter
from tests.unit.reporting_kit import Obedient, Traced


class Slow:
    """A reporter that takes *needs_s* seconds of the test's clock for a flush, or all the time that it is given."""

    def __init__(self, clock: Any, needs_s: float) -> None:
        self.clock, self.needs_s, self.left = clock, needs_s, 0

    def flush(self, timeout_s: float) -> None:
        took_s = min(self.needs_s, timeout_s)
        self.clock.now += took_s
        if took_s == self.needs_s:
            self.left = 0

    def waiting(self) -> list[int]:
        return list(range(self.left))


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Slow]:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(ending, "_deadline", 0.0)
    monkeypatch.setattr(ending, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def make(needs_s: float) -> Slow:
        made = Slow(clock, needs_s)
        monkeypatch.setattr(exits.registry, "living", lambda: [made])
        return made

    return make


def test_what_ends_after_an_earlier_hook_has_a_deadline_of_its_own(reporter: Callable[[float], Slow]) -> None:
    deadline_s = config.current().flush_timeout_s
    slow = reporter(deadline_s / 2)
    for _ in ("the reload, or the begin of a graceful stop", "the stop, or its end"):
        slow.left = 1
        exits.at_exit()
        assert slow.left == 0
        slow.clock.now += deadline_s  # what the service did meanwhile


def test_hooks_that_wait_in_vain_take_one_deadline_together(reporter: Callable[[float], Slow]) -> None:
    deadline_s = config.current().flush_timeout_s
    away = reporter(10 * deadline_s)
    away.left = 1
    began = away.clock.now
    for _ in range(3):
        exits.at_exit()
    assert away.clock.now - began == pytest.approx(deadline_s)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (lambda span, record: [span], "1 spans"),
        (lambda span, record: [Started(span, 0), span], "1 spans"),
        (lambda span, record: [Started(span, 0), record], "1 spans and 1 records"),
        (lambda span, record: [record, record], "2 records"),
    ],
)
def test_the_message_at_the_end_counts_spans(entries: Callable[[Any, Any], list[Any]], words: str) -> None:
    traced = Traced(QueueReporter(Obedient()))
    assert exits._in_words(entries(traced.point("p"), Recorded({}, 0))) == words
