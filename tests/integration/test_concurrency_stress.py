# SPDX-License-Identifier: Apache-2.0
"""64 threads make 2,000 points each while processes are forked from among them: nothing lost, doubled or misplaced."""

import json
import uuid
from collections import Counter
from typing import Any

import pytest

from tests.integration.programs import conc_stress_plan as plan
from tests.integration.test_fork_exit import run
from tests.integration.test_jaeger_delivery import tags_of
from tests.servers import Jaeger

THREADS, POINTS, FORKS = 64, 2_000, 1
#: Of the threads' own points, their first one included, and of each forked child's.
A_TRACE = 1 + POINTS + FORKS * plan.CHILD_POINTS


def check(trace: dict[str, Any], thread: int) -> list[str]:
    """Compare one thread's trace with what the thread did; the ids of its spans."""
    own_of, above_of, parent_of = {}, {}, {}
    for span in trace["spans"]:
        tags = tags_of(span)
        own_of[span["spanID"]], above_of[span["spanID"]] = tags["start.own"], tags["start.above"]
        (parent_of[span["spanID"]],) = [one["spanID"] for one in span["references"]] or [""]
        assert {one["refType"] for one in span["references"]} <= {"CHILD_OF"}
    assert len(own_of) == len(trace["spans"]), "an id came twice"
    assert Counter(own_of.values()) == Counter(plan.points(thread, POINTS, FORKS)), "a point is missing, or came twice"
    wrong = {own_of[one]: own_of.get(up, "") for one, up in parent_of.items() if own_of.get(up, "") != above_of[one]}
    assert not wrong, "points are under others than they were made under"
    return list(own_of)


def stress(jaeger: Jaeger) -> None:
    seed = str(uuid.uuid4())
    ended = run("conc_stress.py", jaeger.url, str(THREADS), str(POINTS), str(FORKS), seed, timeout_s=280)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    own = THREADS * (1 + POINTS)
    assert told["whole"] is True
    assert told["counters"]["delivered"] == told["counters"]["queued"] == own, "the children's are the children's"
    assert not [name for name in told["counters"] if name.startswith(("dropped", "fault"))], told["counters"]
    ids: Counter[str] = Counter()
    for thread in range(THREADS):
        trace = jaeger.wait_for_trace(plan.base_id(seed, thread).replace("-", ""), A_TRACE, 60)
        ids.update(check(trace, thread))
    assert len(ids) == THREADS * A_TRACE
    assert max(ids.values()) == 1, "two spans of different traces share an id"


def test_stress(jaeger: Jaeger) -> None:
    stress(jaeger)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_ten_times_the_stress(part: int) -> None:
    """Ten runs; a Jaeger for each, since it keeps everything in memory."""
    with Jaeger() as own:
        stress(own)
