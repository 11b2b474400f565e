# SPDX-License-Identifier: Apache-2.0
"""Random fork and join programs over mixed models: what is read back from a store is the graph that was programmed."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from osprofiler import config, profiler
from osprofiler.context import current
from osprofiler.delivery.base import NullReporter
from osprofiler.drivers import connect
from osprofiler.drivers.base import get_driver
from osprofiler.records.names import FOLLOWS_FROM
from osprofiler.reports import model
from osprofiler.tracer import global_tracer
from tests.integration.programs import conc_random_plan as plan
from tests.waiting import wait_until

KEY = "a key"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Where this process reports, and a reader of it."""
    url = f"sqlite:///{Path(tmp_path_factory.mktemp('random')) / 'traces.db'}"
    reporter = connect.reporter_for(url, project="random", service="programs")
    global_tracer.report_to(lambda: reporter)
    config.publish(hmac_keys=(KEY,))
    yield reporter, get_driver(url)
    reporter.close()
    global_tracer.report_to(NullReporter)
    config.reset()


def told(trace: model.Trace) -> tuple[Counter[plan.Node], Counter[plan.Join], set[str]]:
    """The graph that a store has: points and branches, joins, and what failed."""
    names = {span.trace_id: span.name for span in trace.spans.values()}
    nodes: Counter[plan.Node] = Counter()
    joins: Counter[plan.Join] = Counter()
    for span in trace.spans.values():
        assert span.finished, f"{span.name} is open"
        assert "osprofiler.entered_again" not in span.tags
        assert "osprofiler.entered_late" not in span.tags
        if span.name != "join":
            nodes[span.name, names.get(span.parent_id), span.reference] += 1
            continue
        assert {link.kind for link in span.links} <= {FOLLOWS_FROM}
        assert not span.tags.keys() & {"osprofiler.join.unfinished", "osprofiler.join.abandoned"}
        counts = {kind: span.tags.get(f"osprofiler.join.{kind}", 0) for kind in ("failed", "elsewhere")}
        referenced = frozenset(names[link.trace_id] for link in span.links)
        never = span.tags.get("osprofiler.join.never_entered", 0)
        joins[plan.Join(names[span.parent_id], referenced, never=never, **counts)] += 1
    return nodes, joins, {span.name for span in trace.spans.values() if span.error}


def check(store: Any, program: plan.Step) -> None:
    reporter, driver = store
    plan.number(program)
    base_id = str(uuid.uuid4())
    profiler.init(KEY, base_id=base_id)
    try:
        plan.run(program)
    finally:
        profiler.clean()
    assert current.point.get() is None
    assert reporter.flush(30)
    wanted = Counter(plan.expected(program))
    joins = Counter(plan.expected_joins(program))

    def read() -> tuple[Counter[plan.Node], Counter[plan.Join], set[str]]:
        found = told(model.from_records(driver.read(base_id)))
        assert found[0].total() >= wanted.total(), found
        return found

    assert wait_until(read) == (wanted, joins, set(plan.failing(program)))


RANDOMLY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(RANDOMLY, max_examples=150)
@given(program=plan.steps)
def test_a_random_program(store: Any, program: plan.Step) -> None:
    check(store, program)


@pytest.mark.slow
@settings(RANDOMLY, max_examples=3000)
@given(program=plan.steps)
def test_many_random_programs(store: Any, program: plan.Step) -> None:
    check(store, program)


def test_a_program_with_processes(store: Any) -> None:
    """Fixed, since each process takes its time; its branches fork on in the processes."""

    def branch(model: str, fails: bool, *inside: plan.Step) -> plan.Branch:
        return plan.Branch(model, fails, list(inside))

    def step(*branches: plan.Branch, **how: bool) -> plan.Step:
        return plan.Step(branches=list(branches), **how)

    check(
        store,
        step(
            branch("process", False, step(branch("thread", True), branch("process", True))),
            branch("thread", False, step(branch("process", False, step()), branch("task", False), detached=True)),
            branch("never", False),
            branch("pool", True, step(branch("carrier", True, step(branch("process", False))), joins=False)),
        ),
    )
