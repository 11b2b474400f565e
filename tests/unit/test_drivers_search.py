# SPDX-License-Identifier: Apache-2.0
"""A search through any driver: in batches, in order, with the limit where it counts."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from osprofiler.cmd import shell
from osprofiler.drivers import base, search
from osprofiler.drivers.newest_first import Page, newest_first
from osprofiler.drivers.sqlalchemy_driver import SQLAlchemyDriver
from osprofiler.records import unreadable
from osprofiler.records.record import timestamp
from osprofiler.testing.records import T0_US, span

Mark = dict[str, Any]


def mark(base_id: str, at_us: int) -> Mark:
    return {"base_id": base_id, "timestamp": timestamp(T0_US + at_us)}


class Memory(base.Driver):
    """Traces in memory. It notes what it is asked, and reads the traces of a batch in the wrong order."""

    def __init__(self, traces: dict[str, list[Mark]], is_exact: bool = True) -> None:
        super().__init__("memory://")
        self.traces = traces
        self.exact = is_exact
        self.asked: list[base.Wanted] = []
        self.batches: list[int] = []
        self.given = 0

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return self.traces.get(base_id, [])

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        self.batches.append(len(base_ids))
        yield from super().read_many(base_ids[::-1])

    def candidates(self, wanted: base.Wanted) -> Iterator[Mark]:
        self.asked.append(wanted)
        for base_id, records in reversed(self.traces.items()):
            self.given += 1
            yield {"base_id": base_id, "timestamp": records[0]["timestamp"]}

    def is_exact(self, wanted: base.Wanted) -> bool:
        return self.exact and not wanted.needs_reading


def memory(count: int, spans: int = 1, is_exact: bool = True) -> Memory:
    def records(i: int) -> list[Mark]:
        return [each for number in range(spans) for each in span(number + 1, i, f"t{i}")]

    return Memory({f"t{i}": records(i) for i in range(count)}, is_exact)


def test_the_limit_reaches_the_driver_only_if_it_is_exact() -> None:
    for is_exact in True, False:
        driver = memory(5, is_exact=is_exact)
        found = list(search.identified(driver, search.Wanted(limit=2)))
        assert driver.asked == [search.Wanted(limit=2 if is_exact else None)]
        assert [each["base_id"] for each in found] == ["t4", "t3", "t2", "t1", "t0"][: 2 if is_exact else 5]


def test_no_page_is_read_before_it_is_used() -> None:
    driver = memory(100)
    marks = search.identified(driver, search.Wanted())
    assert [next(marks)["base_id"] for _ in range(3)] == ["t99", "t98", "t97"]
    assert driver.given == 3


def test_a_trace_that_comes_twice_is_given_once() -> None:
    class Twice(Memory):
        def candidates(self, wanted: base.Wanted) -> Iterator[Mark]:
            return itertools.chain(super().candidates(wanted), super().candidates(wanted))

    driver = Twice(memory(3).traces)
    assert [each["base_id"] for each in search.identified(driver, search.Wanted())] == ["t2", "t1", "t0"]


def test_traces_are_read_in_batches_and_given_in_order() -> None:
    driver = memory(500)
    traces = search.traces(driver, search.Wanted())
    first = [next(traces).base_id for _ in range(3)]
    assert first == ["t499", "t498", "t497"]
    assert driver.batches == [50]
    assert first + [trace.base_id for trace in traces] == [f"t{i}" for i in reversed(range(500))]
    assert driver.batches == [50, 100, 200, 150]


def test_a_batch_is_no_larger_than_the_limit_or_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_BATCH_RECORDS", 200)
    driver = memory(75, spans=10)
    assert len(list(search.traces(driver, search.Wanted(limit=4)))) == 4
    assert driver.batches == [4]
    driver.batches.clear()
    assert len(list(search.traces(driver, search.Wanted()))) == 75
    assert driver.batches == [50, 10, 10, 5]


def test_what_cannot_be_read_belongs_to_its_trace() -> None:
    class Spoilt(Memory):
        def read(self, base_id: str) -> list[dict[str, Any]]:
            if base_id == "t1":
                unreadable.skip("memory", "an item", "it is spoilt")
            return super().read(base_id)

    driver = Spoilt(memory(3).traces)
    assert [(trace.base_id, trace.unreadable) for trace in search.traces(driver, search.Wanted())] == [
        ("t2", 0), ("t1", 1), ("t0", 0),
    ]  # fmt: skip


def test_a_trace_that_is_gone_keeps_no_other_waiting() -> None:
    driver = memory(5)
    marks = search.identified(driver, search.Wanted())
    base_ids = [each["base_id"] for each in marks]
    del driver.traces["t4"], driver.traces["t2"]
    assert [stored.base_id for stored in search.records(driver, base_ids)] == ["t3", "t1", "t0"]


def test_a_subclass_with_lists_of_its_own_is_asked_for_these(tmp_path: Path) -> None:
    class Own(SQLAlchemyDriver):
        def list_traces(self, fields: set[str] | None = None) -> list[Mark]:
            return [mark("mine", 1), mark("yours", 2)]

    driver = Own(f"sqlite:///{tmp_path / 'traces.db'}")
    assert [each["base_id"] for each in search.identified(driver, search.Wanted())] == ["yours", "mine"]


def test_a_store_that_fails_meanwhile_shows_what_it_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Memory):
        def candidates(self, wanted: base.Wanted) -> Iterator[Mark]:
            yield from itertools.islice(super().candidates(wanted), 2)
            raise base.StoreUnavailable("cannot read memory://: gone")

    monkeypatch.setattr(base, "get_driver", lambda *_, **__: Failing(memory(9).traces))
    assert shell.main(["trace", "list", "--connection-string", "memory://"]) == 1
    out, err = capsys.readouterr()
    assert out.index("t7") < out.index("t8")
    assert "the store failed: cannot read memory://: gone; this is of 2 traces read until then" in err


def test_a_trace_waits_until_no_newer_one_can_come() -> None:
    began = {"long": 5, "a": 90, "b": 70, "c": 50}
    read: list[str] = []

    def pages() -> Iterator[Page]:
        for base_ids, edge_us in (["long", "a"], 80), (["long", "b"], 60), (["long", "c"], 0):
            read.extend(base_ids)
            yield Page(base_ids, T0_US + edge_us)

    def first_marks(base_ids: list[str]) -> Iterable[Mark]:
        return [mark(base_id, began[base_id]) for base_id in base_ids]

    traces = newest_first(pages(), first_marks)
    assert next(traces)["base_id"] == "a"
    assert read == ["long", "a"]
    assert [each["base_id"] for each in traces] == ["b", "c", "long"]


def test_the_lists_of_an_old_driver_are_combined() -> None:
    """Both conditions hold for the same trace, and its first record tells its time."""

    class Lists(base.Driver):
        can = frozenset({base.Can.LIST, base.Can.LIST_ERRORS})

        def list_traces(self, fields: set[str] | None = None) -> list[Mark]:
            return [mark("old", 1), mark("failed", 2), mark("new", 3)]

        def list_error_traces(self) -> list[Mark]:
            return [mark("failed", 900), mark("old", 901)]

    driver = Lists("lists://")
    assert list(driver.candidates(base.Wanted(error=True))) == [mark("failed", 2), mark("old", 1)]
    assert list(search.identified(driver, search.Wanted(error=True, since_us=T0_US + 2))) == [mark("failed", 2)]
    driver.can = frozenset({base.Can.LIST_ERRORS})
    assert list(search.identified(driver, search.Wanted(error=True, limit=1))) == [mark("old", 901)]
