# SPDX-License-Identifier: Apache-2.0
"""Clocks that disagree: found from cause and effect, corrected for display, never in what is kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler.reports import model
from osprofiler.reports.analysis import skew
from osprofiler.reports.views import json_report, tree
from osprofiler.testing.records import T0_US
from tests.unit.reports_kit import Made, made


def starts(trace: model.Trace) -> dict[str, int]:
    return {span.operation: span.start_us - T0_US for span in trace.spans.values()}


def test_a_child_that_seems_to_begin_first_is_put_into_the_middle_of_its_parent() -> None:
    trace = skew.correct(
        made(
            Made("client", None, 0, 1_000, host="api"),
            Made("server", "client", -5_000, -4_400, host="compute"),
            Made("db", "server", -4_900, -4_800, host="compute"),
        )
    )
    assert trace.skews == {"compute": 5_200}
    assert starts(trace) == {"client": 0, "server": 200, "db": 300}
    assert [span.skew_us for span in trace.spans.values()] == [0, 5_200, 5_200]
    assert (trace.start_us, trace.end_us) == (T0_US, T0_US + 1_000)


def test_every_call_between_two_hosts_narrows_the_correction() -> None:
    trace = skew.correct(
        made(
            Made("a", None, 0, 10_000, host="api"),
            Made("loose", "a", -3_000, -2_000, host="compute"),  # at least 3,000
            Made("call", "a", 5_000, 6_000, host="api"),
            Made("tight", "call", 1_500, 2_300, host="compute"),  # 3,500 to 3,700
        )
    )
    assert trace.skews == {"compute": 3_600}


def test_a_callback_counts_in_the_other_direction() -> None:
    trace = skew.correct(
        made(
            Made("a", None, 0, 1_000, host="api"),
            Made("b", "a", 4_000, 4_500, host="compute"),  # -4,000 to -3,500
            Made("back", "b", 100, 300, host="api"),  # -4,200 to -3,900
        )
    )
    assert trace.skews == {"compute": -3_950}


def test_corrections_are_carried_on_from_host_to_host() -> None:
    trace = skew.correct(
        made(
            Made("a", None, 0, 1_000, host="one"),
            Made("b", "a", -10_000, -9_200, host="two"),
            Made("c", "b", -9_900, -9_300, host="three"),  # agrees with two
        )
    )
    assert trace.skews == {"two": 10_100, "three": 10_100}


@pytest.mark.parametrize(
    "spans",
    [
        [Made("server", "a", 10, 90, host="compute")],
        [Made("cast", "a", 5_000, 9_000, host="compute", follows=True)],  # may begin whenever it likes
        [Made("longer", "a", 50, 2_000, host="compute")],  # the caller gave up; no shift makes it fit
        [Made("unfinished", "a", 50, None, host="compute")],
        [Made("early", "a", -500, -400, host="api")],  # one clock: not a matter of clocks
    ],
)
def test_what_is_possible_is_left_alone(spans: list[Made]) -> None:
    plain = made(Made("a", None, 0, 1_000, host="api"), *spans)
    before = starts(plain)
    assert skew.correct(plain).skews == {}
    assert starts(plain) == before


def test_a_call_that_failed_may_have_been_given_up() -> None:
    trace = made(Made("a", None, 0, 1_000, host="api"), Made("served later", "a", 900, 1_800, host="compute"))
    trace.roots[0].error = "MessagingTimeout"
    assert skew.correct(trace).skews == {}


def test_a_cast_cannot_begin_before_it_was_sent() -> None:
    trace = made(Made("a", None, 0, 1_000, host="api"), Made("cast", "a", -700, 5_000, host="compute", follows=True))
    assert skew.correct(trace).skews == {"compute": 700}


def test_the_tree_says_so_and_what_is_kept_does_not_change() -> None:
    spans = [Made("a", None, 0, 1_000, host="api"), Made("b", "a", -5_000, -4_400, host="compute")]
    trace = skew.correct(made(*spans))
    drawn = list(tree.lines(trace, tree.Style(unicode=False)))
    assert drawn[1] == "clocks disagree; corrected here: compute +5.20 ms"
    report = json.loads("".join(json_report.text(json_report.report(made(*spans)))))
    assert [node["info"]["started_us"] for node in report["children"][0]["children"]] == [0]
    assert skew.correct(json_report.from_report(report)).skews == {"compute": 5_200}
    assert skew.correct(trace).skews == {"compute": 5_200}  # once corrected, it stays so


@given(st.integers(-(10**7), 10**7), st.integers(0, 300), st.integers(0, 300), st.integers(1, 400))
def test_any_shift_is_undone_as_far_as_it_can_be_known(shift_us: int, out_us: int, back_us: int, took_us: int) -> None:
    end = out_us + took_us + back_us
    trace = made(
        Made("a", None, 0, end, host="api"),
        Made("b", "a", out_us + shift_us, out_us + took_us + shift_us, host="compute"),
    )
    skew.correct(trace)
    child = next(span for span in trace.spans.values() if span.operation == "b")
    assert child.start_us >= T0_US
    assert child.end_us <= T0_US + end
    assert abs(trace.skews.get("compute", 0) + shift_us) <= max(out_us, back_us)


def test_hosts_that_are_each_other_s_callers_agree_with_one_another_too() -> None:
    """All of it is possible, so nothing of it may be outside of what it was called by."""
    by_5_s, by_3_s = 5_000_000, -3_000_000
    trace = skew.correct(
        made(
            Made("boot", None, 0, 1_000, host="api"),
            Made("ports", "boot", 100 + by_3_s, 890 + by_3_s, host="network"),
            Made("build", "boot", 600 + by_5_s, 900 + by_5_s, host="compute"),
            Made("plug", "build", 700 + by_3_s, 710 + by_3_s, host="network"),
        )
    )
    for span in trace.spans.values():
        for child in span.children:
            assert span.start_us <= child.start_us <= child.end_us <= span.end_us, child.operation
