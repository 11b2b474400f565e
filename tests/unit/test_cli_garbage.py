# SPDX-License-Identifier: Apache-2.0
"""A command that runs for long does not keep what nobody uses."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from osprofiler.cmd import shell, trace_list


class Cycle:
    """An object that only a search for cycles removes."""

    left = 0

    def __init__(self) -> None:
        self.me = self
        Cycle.left += 1

    def __del__(self) -> None:
        Cycle.left -= 1


@pytest.fixture
def threshold() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    assert gc.get_threshold() == before


def test_a_long_command_does_not_grow(threshold: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    most = []

    def busy(*_: object) -> int:
        assert gc.get_threshold()[0] > threshold[0]
        for _ in range(5):
            for _ in range(100_000):
                Cycle()
            most.append(Cycle.left)
        return 0

    monkeypatch.setattr(trace_list.ListCommand, "list", busy)
    assert shell.main(["trace", "list"]) == 0
    assert max(most) < 300_000
