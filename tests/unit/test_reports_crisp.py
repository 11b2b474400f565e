# SPDX-License-Identifier: Apache-2.0
"""Our critical path against the rules that CRISP publishes (Zhang et al., USENIX ATC 2022), on traces of random shape.

The rules: children are cut to their parent's time. The child that ends last is on the path; then, going back, each
child that ended before the one after it began, or that overlaps it by less than 1 % of the parent's time with nothing
else in between. A span's own part is its time without that of its children on the path. Every root counts.
"""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler.reports import model
from osprofiler.reports.analysis import critical_path
from tests.unit.reports_kit import Made, made


def shaped(chance: random.Random, *kinds: str) -> model.Trace:
    """Roots in turn, whose children are of *kinds*: serial, parallel, overlapping, outlasting."""
    spans: list[Made] = []

    def add(under: str | None, start: int, length: int, depth: int) -> None:
        name = str(len(spans))
        spans.append(Made(name, under, start, start + length))
        if length < 3_000 or depth == 3:
            return
        kind = chance.choice(kinds)
        count = chance.randint(2, 4)
        part = length // (count + 1)
        if kind == "parallel":
            for i, end in enumerate(chance.sample(range(length // 2, length - 5), count)):
                begin = 2 + 3 * i
                add(name, start + begin, end - begin, depth + 1)
            return
        at = start + chance.randint(1, part // 4)
        for _ in range(count):
            took = chance.randint(part // 2, part - 10)
            add(name, at, took, depth + 1)
            at += took + (-chance.randint(1, part // 200) if kind == "overlapping" else chance.randint(1, part // 4))
        if kind == "outlasting":
            add(name, at + 1, start + length - at + chance.randint(1, 500), depth + 1)

    at = 0
    for _ in range(chance.randint(1, 3)):
        length = chance.randint(10_000, 100_000)
        add(None, at, length, 0)
        at += length + 1_000
    return made(*spans)


def crisp(trace: model.Trace) -> dict[str, int]:
    """The own part of each span on the path, by operation."""
    own: dict[str, int] = {}
    times: dict[str, tuple[int, int]] = {}

    def cut(span: model.SpanNode, low: int, high: int) -> Iterator[model.SpanNode]:
        times[span.trace_id] = start, end = max(span.start_us, low), min(span.end_us, high)
        yield span
        for child in span.children:
            if child.start_us < end and child.end_us > start:
                yield from cut(child, start, end)

    def visit(span: model.SpanNode) -> None:
        start, end = times[span.trace_id]
        children = [child for child in span.children if child.trace_id in times]
        edges = [edge for child in children for edge in times[child.trace_id]]
        path: list[model.SpanNode] = []
        for child in sorted(children, key=lambda each: (-times[each.trace_id][1], -each.end_us)):
            if path:
                (begins, ends), (after, last) = times[child.trace_id], times[path[-1].trace_id]
                small = ends - after < 0.01 * (end - start) and begins < after and ends < last
                if not (ends < after or (small and sum(after <= edge <= ends for edge in edges) == 2)):
                    continue
            path.append(child)
        own[span.operation] = end - start
        for child in path:
            begins, ends = times[child.trace_id]
            own[span.operation] -= ends - begins
            visit(child)

    for root in trace.roots:
        for _ in cut(root, root.start_us, root.end_us):
            pass
        visit(root)
    return own


def ours(trace: model.Trace) -> dict[str, int]:
    shares = critical_path.find(trace).shares()
    return {share.span.operation: share.self_us for share in shares if share.span is not critical_path.CLIENT}


@given(st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_serial_parallel_outlasting_and_several_roots_are_the_same(seed: int) -> None:
    trace = shaped(random.Random(seed), "serial", "parallel", "outlasting")
    assert ours(trace) == {name: time for name, time in crisp(trace).items() if time}


@given(st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_with_small_overlaps_only_these_differ(seed: int) -> None:
    """CRISP counts an overlap for both siblings, and takes it from their parent."""
    trace = shaped(random.Random(seed), "serial", "parallel", "overlapping")
    mine, theirs = ours(trace), crisp(trace)
    overlaps = sum(
        max(one.end_us - other.start_us, 0)
        for span in trace.spans.values()
        for one, other in zip(span.children, span.children[1:], strict=False)
        if (one.end_us - other.start_us) * 100 <= one.end_us - one.start_us
    )
    assert {
        name for name in theirs.keys() ^ mine.keys() if theirs.get(name, 0) > overlaps or mine.get(name, 0) > overlaps
    } == set()
    assert sum(abs(theirs.get(name, 0) - mine.get(name, 0)) for name in theirs.keys() | mine.keys()) <= 3 * overlaps


@pytest.mark.parametrize("overlap", [5, 9])
def test_of_the_siblings_that_overlap_by_less_than_one_percent_both_are_on_the_path(overlap: int) -> None:
    trace = made(Made("a", None, 0, 2_000), Made("b", "a", 10, 1_000), Made("c", "a", 1_000 - overlap, 1_990))
    assert set(ours(trace)) == set(crisp(trace)) == {"a", "b", "c"}
    assert ours(trace)["b"] == crisp(trace)["b"] - overlap
