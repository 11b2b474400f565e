# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks conclude: verdicts on goals, and on what arrived."""

import json
from typing import Any

import pytest

from benchmarks import arrived, goals, table
from benchmarks.child.contenders import TEXT
from benchmarks.environments import contenders
from benchmarks.figures import Figures


def figures(**ours: float) -> Figures:
    made = Figures()
    for row, value in {"rest traced": 150.0, "bare call": 50.0, **ours}.items():
        made.add("ours", row, "ns", value)
    made.add("stock-noop", "rest traced", "ns", 1050.0)
    made.add("stock-noop", "bare call", "ns", 50.0)
    return made


def goal(of: Figures, what: str) -> goals.Goal:
    return next(one for one in goals.goals(of, 100_000) if one.what.startswith(what))


def test_a_goal_is_a_ratio_of_medians_over_the_bare_call() -> None:
    made = figures()
    assert goal(made, "traced function at rest").value == pytest.approx(0.1)
    assert goal(made, "traced function at rest").reached is True
    made.add("ours", "rest traced", "ns", 850.0)  # two values: the median is between them
    assert goal(made, "traced function at rest").value == pytest.approx(0.45)
    assert goal(made, "traced function at rest").reached is False


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    without = goal(figures(), "unsampled")
    assert (without.value, without.reached) == (None, None)
    assert "no data" in table.text(figures(), [without], contenders())


def test_a_goal_may_be_a_least_value() -> None:
    made = Figures()
    made.add("ours", "two_tags, 1 threads", "wall_us", 5.0)
    made.add("ours", "two_tags, 64 threads", "wall_us", 10.0)
    assert goal(made, "throughput").value == 0.5
    assert goal(made, "throughput").reached is False


def test_one_lost_span_misses_the_goal() -> None:
    made = Figures()
    made.add("ours", "burst", "lost", 1)
    assert goal(made, "burst of 100,000 over HTTP").reached is False


def test_every_single_value_is_in_the_json() -> None:
    made = figures()
    made.add("ours", "rest traced", "ns", 170.0)
    document = json.loads(table.as_json(made, goals.goals(made, 1)))
    assert {"contender": "ours", "row": "rest traced", "unit": "ns", "values": [150.0, 170.0]} in document["figures"]
    assert len(document["goals"]) == len(list(goals.goals(made, 1)))


class Collector:
    """Answers as the server kit's Jaeger does, with what it is given."""

    def __init__(self, spans: list[dict[str, Any]]) -> None:
        self.spans = spans

    def traces(self, service: str) -> list[dict[str, Any]]:
        return [{"spans": self.spans}]


def span(name: str, number: int, above: int | None = None, **tags: Any) -> dict[str, Any]:
    values = {"osprofiler.name": name, "start.n": number, "start.text": TEXT, **tags}
    return {
        "spanID": f"{name}{number}",
        "operationName": name,
        "tags": [{"key": key, "value": value} for key, value in values.items()],
        "references": [] if above is None else [{"refType": "CHILD_OF", "spanID": f"{name}{above}"}],
        "logs": [],
    }


def wrong(spans: list[dict[str, Any]], **made: int) -> list[str]:
    return arrived.from_jaeger(Collector(spans), "bench", made, timeout_s=0)  # type: ignore[arg-type]


def test_what_arrived_is_judged() -> None:
    assert wrong([span("two_tags", n) for n in range(3)], two_tags=3) == []
    assert wrong([span("two_tags", n) for n in range(2)], two_tags=3) == ["two_tags: 2 of 3 arrived"]
    assert wrong([span("two_tags", n) for n in (0, 1, 1)], two_tags=3) == ["two_tags: numbers are missing or double"]
    (mistake,) = wrong([span("two_tags", 0, **{"start.text": "cut"})], two_tags=1)
    assert mistake.startswith("two_tags: texts are")
    assert wrong([span("with_log", 0)], with_log=1) == ["with_log: logs are missing"]


def test_a_span_under_the_wrong_parent_is_seen() -> None:
    chain = [span("nested", n, n - 1 if n else None) for n in range(10)]
    assert wrong(chain, nested=10) == []
    chain[5]["references"][0]["spanID"] = "nested3"
    assert wrong(chain, nested=10) == ["nested: 5 is under [3]"]


def test_datadog_spans_are_counted() -> None:
    spans = [{"name": "two_tags"}, {"name": "root"}]
    assert arrived.from_datadog(spans, {"two_tags": 1}) == []
    assert arrived.from_datadog(spans, {"two_tags": 2}) == ["two_tags: 1 of 2 arrived"]
