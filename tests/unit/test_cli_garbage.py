# SPDX-License-Identifier: Apache-2.0
"""A command that runs for long does not keep what nobody uses."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator

import pytest

from osprofiler.cmd import follow, garbage, sets, shell, trace_list
from osprofiler.drivers import base
from osprofiler.reports.model import Trace


class Cycle:
    """An object that only a search for cycles removes."""

    left = 0

    def __init__(self) -> None:
        self.me = self
        Cycle.left += 1

    def __del__(self) -> None:
        Cycle.left -= 1


@pytest.fixture(autouse=True)
def no_cycles_are_left() -> None:
    gc.collect()
    assert Cycle.left == 0


def test_python_makes_no_searches_while_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = []
    monkeypatch.setattr(trace_list.ListCommand, "list", lambda *_: searches.append(gc.isenabled()) or 0)
    assert shell.main(["trace", "list"]) == 0
    assert (searches, gc.isenabled()) == ([False], True)


def test_a_large_set_leaves_no_cycles() -> None:
    most = []

    def traces() -> Iterator[tuple[int, Cycle]]:
        for _ in range(1_000):
            yield 1, Cycle()
            most.append(Cycle.left)

    with garbage.kept():
        assert sets.gather(traces(), lambda _: None) == 0
    assert max(most) < 200


def test_a_look_at_new_traces_leaves_no_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    most = []

    def look(*_: object) -> list[Trace]:
        most.append(Cycle.left)
        Cycle()
        if len(most) == 10:
            raise KeyboardInterrupt
        return []

    monkeypatch.setattr(follow.Follower, "look", look)
    monkeypatch.setattr(follow.sources, "wanted", lambda _: base.Wanted())
    monkeypatch.setattr(follow.sources, "name_default", lambda *_: None)
    args = argparse.Namespace(since_us=None, interval_us=0, use_json=False)
    with garbage.kept(), pytest.raises(KeyboardInterrupt):
        follow.run(args, base.Driver("none://"))
    assert max(most) == 0
