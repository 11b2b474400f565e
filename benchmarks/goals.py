# SPDX-License-Identifier: Apache-2.0
"""The goals, as ratios of figures of one run: microseconds differ from machine to machine, ratios hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from benchmarks.figures import Figures


@dataclasses.dataclass(frozen=True)
class Goal:
    """One row of the table: what, what it came to (None: it could not be measured), what it may be at most."""

    what: str
    value: float | None
    limit: float
    how: str  # the two figures, or what the value is
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def goals(figures: Figures, burst: int) -> Iterator[Goal]:
    """Every row with its goal."""
    yield from _at_rest(figures)
    for unit, what, limits in (
        ("wall_us", "caller's wall time", {"jaeger": 0.07, "otel": 0.10, "ddtrace": 0.15}),
        ("cpu_us", "whole-process CPU until delivered", {"jaeger": 0.10, "otel": 0.15, "ddtrace": 0.30}),
    ):
        for other, limit in limits.items():
            yield _ratio(
                f"traced span, two tags: {what} / {other}",
                figures.median("ours", "two_tags", unit),
                figures.median(other, "two_tags", unit),
                limit,
                "us",
            )
    for points in (10, 200):
        row = f"exception through {points}"
        ours, theirs = (figures.median(name, row, "ns") for name in ("ours", "stock-noop"))
        yield _ratio(f"{row} nested points / osprofiler 4.4.0", ours, theirs, 2.0, "ns")
    one, many = (figures.median("ours", f"by {n}", "ns") for n in ("one rule", "1,000 rules"))
    yield _ratio("decision by 1,000 rules / by one", many, one, 2.0, "ns")
    yield Goal(f"burst of {burst:,} over HTTP: lost", figures.median("ours", "burst", "lost"), 0, "spans")
    yield Goal(
        f"burst of {burst:,} over UDP: neither sent nor counted as lost",
        figures.median("ours-udp", "burst", "uncounted"),
        0,
        "spans",
    )
    yield Goal("a queued span of two tags", figures.median("ours", "memory", "queued_bytes"), 1024, "bytes")
    yield Goal("locks taken by the caller of 1,000 spans", figures.median("ours", "memory", "locks"), 0, "calls")
    one, many = (figures.median("ours", f"two_tags, {n} threads", "wall_us") for n in (1, 64))
    through = one / many if one and many else None
    yield Goal("throughput of 64 threads / of one", through, 1.0, _both(one, many, "us"), at_least=True)


def _at_rest(figures: Figures) -> Iterator[Goal]:
    def above(contender: str, row: str, base: str) -> float | None:
        value, bare = figures.median(contender, row, "ns"), figures.median(contender, base, "ns")
        return None if value is None or bare is None else value - bare

    for what, measure, limit in (
        ("traced function at rest, over the bare call / osprofiler 4.4.0", ("rest traced", "bare call"), 0.12),
        ("WSGI middleware off, over the application / osprofiler 4.4.0", ("wsgi off", "wsgi bare"), 0.02),
    ):
        yield _ratio(what, above("ours", *measure), above("stock-noop", *measure), limit, "ns")
    start_stop: Callable[[str], float | None] = lambda name: figures.median(name, "rest start/stop", "ns")  # noqa: E731
    yield _ratio("start and stop at rest / osprofiler 4.4.0", start_stop("ours"), start_stop("stock-noop"), 0.5, "ns")
    yield _ratio(
        "unsampled trace point / unsampled jaeger-client span",
        figures.median("ours", "unsampled", "ns"),
        figures.median("jaeger", "unsampled", "ns"),
        0.15,
        "ns",
    )


def _ratio(what: str, ours: float | None, theirs: float | None, limit: float, unit: str) -> Goal:
    value = ours / theirs if ours is not None and theirs else None
    return Goal(what, value, limit, _both(ours, theirs, unit))


def _both(one: float | None, other: float | None, unit: str) -> str:
    return "not measured" if one is None or other is None else f"{one:,.2f} / {other:,.2f} {unit}"
