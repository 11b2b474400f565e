# SPDX-License-Identifier: Apache-2.0
"""Branches as text: through queues, the environment, and by hands that are not ours."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler import config, profiler
from osprofiler._runtime import guard
from osprofiler.concurrency import carrier
from osprofiler.config import trust
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from tests.unit.span_kit import Recorder, spans  # noqa: F401 (a fixture)

KEY = "a key"


@pytest.fixture
def traced(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    config.publish(hmac_keys=("first", KEY))
    profiler.init(KEY)
    yield spans
    profiler.clean()


def sent(detached: bool = False) -> tuple[dict[str, str], int]:
    """A carrier, and the id of the point that it was forked from."""
    with profiler.Trace("root"):
        here = current.point.get()
        assert here is not None
        assert here.span is not None
        fields = profiler.fork("fork", detached=detached).to_carrier("a branch")
        return fields, here.span.span_id


def enter(fields: dict[str, str]) -> None:
    """As the receiver, which has no trace of its own."""
    before = current.point.get()
    current.point.set(None)
    with carrier.entered(fields), profiler.Trace("work"):
        pass
    assert current.point.get() is None
    current.point.set(before)


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("changed", [dict, carrier.environment, lambda c: {key.upper(): c[key] for key in c}])
def test_the_receiver_enters_the_very_branch(traced: Recorder, detached: bool, changed: type[dict[str, str]]) -> None:
    fields, root = sent(detached)
    assert KEY not in " ".join(fields.values())
    enter(changed(fields))
    branch = traced.by_name("a branch")
    assert branch.parent_span_id == root
    assert branch.follows is detached
    assert branch.own_tags["osprofiler.fork"] == "fork"
    assert traced.by_name("work").parent_span_id == branch.span_id
    assert branch.origin.hmac_key == KEY


def test_the_join_references_what_was_sent(traced: Recorder) -> None:
    with profiler.Trace("root"), profiler.fork("fork") as fork:
        fields = fork.to_carrier()
        enter(fields)
    (link,) = traced.by_name("join").links or ()
    assert link[2] == traced.by_name("fork").span_id
    assert traced.by_name("join").own_tags["osprofiler.join.elsewhere"] == 1


def test_a_message_that_is_delivered_twice(traced: Recorder) -> None:
    fields, root = sent()
    enter(fields)
    enter(fields)
    first, second = [span for span in traced.finished if span.name == "a branch"]
    assert first.span_id != second.span_id
    assert {first.parent_span_id, second.parent_span_id} == {root}
    assert second.own_tags["osprofiler.entered_again"] is True


@pytest.mark.parametrize("field", ["X-Trace-Context", "X-Trace-Branch", "X-Trace-HMAC"])
def test_what_was_changed_on_the_way_is_no_branch(traced: Recorder, field: str) -> None:
    fields, root = sent()
    spoiled = {**fields, field: fields[field][:-1] + ("0" if fields[field][-1] != "0" else "1")}
    enter(spoiled)
    if field == "X-Trace-HMAC":  # what is newer wins
        assert traced.by_name("a branch").parent_span_id == root
    else:
        assert "a branch" not in traced.names()
        assert traced.by_name("branch").parent_span_id == root, "the rest of the context still counts"


def test_a_branch_does_not_fit_another_context(traced: Recorder) -> None:
    one, _ = sent()
    other, root = sent()
    enter({**other, "X-Trace-Branch": one["X-Trace-Branch"]})
    assert traced.by_name("branch").parent_span_id == root


def test_without_one_of_our_keys_it_is_nothing(traced: Recorder) -> None:
    fields, _ = sent()
    config.publish(hmac_keys=("first",))
    enter(fields)
    assert traced.names() == ["root"]


def test_foreign_context_needs_trust(traced: Recorder) -> None:
    fields = {"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    enter(fields)
    assert traced.names() == []
    config.publish(trust_incoming=trust.ALL)
    enter(fields)
    assert traced.by_name("branch").parent_span_id == 0xB7AD6B7169203331
    assert traced.by_name("branch").trace_id == 0x0AF7651916CD43DD8448EB211C80319C


def test_a_trace_without_a_key_goes_on_where_it_is_trusted(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    with scope.entered(Point(None, None, Origin.from_ids(11, 12))):
        fields, _ = sent()
    assert not [name for name in fields if "hmac" in name.lower()]
    enter(fields)
    assert spans.by_name("a branch").own_tags["osprofiler.fork"] == "fork"


def test_unsampled_is_carried_on(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    with scope.entered(Point(None, None, Origin.from_ids(11, 12, flags=0))):
        fields = profiler.fork("fork").to_carrier()
    assert fields
    assert "X-Trace-Branch" not in fields
    with carrier.entered(fields):
        here = current.point.get()
        assert here is not None
        assert (here.origin.trace_id, here.origin.sampled) == (11, False)
    assert spans.started == []


def test_the_environment_is_read_once(traced: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    fields, _ = sent()
    for name, value in carrier.environment(fields).items():
        monkeypatch.setenv(name, value)
    current.point.set(None)
    with carrier.entered(os.environ):
        pass
    assert "X_TRACE_BRANCH" not in os.environ, "a child would enter the same branch"
    assert traced.by_name("a branch")


def test_long_and_strange_names_arrive(traced: Recorder) -> None:
    with profiler.Trace("root"):
        fields = profiler.fork("\u4e16" * 5_000).to_carrier("\U0001f600" * 5_000)
    assert len(fields["X-Trace-Branch"]) <= 4096
    enter(fields)
    (branch,) = [span for span in traced.finished if "osprofiler.fork" in span.own_tags]
    assert str(branch.name).startswith("\U0001f600" * 100)


NAMES = ["x-trace-context", "X_TRACE_CONTEXT", "X-Trace-Branch", "traceparent", "UBER_TRACE_ID", "a"]
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
SIGNED = st.tuples(st.text("eyJ0IjoxLCJiIn0="), HEX).map(".".join)


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.binary() | st.none() | SIGNED))
def test_hostile_carriers_are_as_absent(fields: dict[str, str]) -> None:
    before = guard.counters["fault.branch"]
    config.publish(hmac_keys=(KEY,), trust_incoming=trust.SIGNED)
    try:
        with carrier.entered(fields):
            assert current.point.get() is None
    finally:
        config.reset()
    assert guard.counters["fault.branch"] == before
