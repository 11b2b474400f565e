# SPDX-License-Identifier: Apache-2.0
"""Whole traces in a form that can be compared: what a span is, under which spans, by which reference.

A trace is a multiset of paths. A path leads from a root to a span and holds, for each span on it, its service, its
operation, its reference to the span before it, and how many further references it has.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from osprofiler.reports import model


class Seen(NamedTuple):
    """One span, without what differs from run to run."""

    service: str
    operation: str
    reference: str = "child_of"  # to the span above it; "" at a root
    links: int = 0  # references beside that one
    failed: bool = False


Path = tuple[Seen, ...]

#: Which request makes a connection, and which one waits for one, is different in each run.
_BY_CHANCE = {"db CONNECT", "db WAIT"}


def expected(text: str, **services: str) -> Counter[Path]:
    """The paths of a tree written down with two blanks a level: ``service operation``, then perhaps ``~`` (follows
    from the span above it), then perhaps ``+N`` (N further references), then perhaps ``!`` (it failed). *services* says
    what a service's name is in this run, where it is another."""
    paths: Counter[Path] = Counter()
    above: list[Seen] = []
    for line in text.strip("\n").splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        failed = words[-1] == "!"
        if failed:
            words.pop()
        links = int(words.pop()) if words[-1].startswith("+") else 0
        reference = "" if not depth else "follows_from" if words[-1] == "~" else "child_of"
        operation = " ".join(word for word in words[1:] if word != "~")
        del above[depth:]
        above.append(Seen(services.get(words[0], words[0]), operation, reference, links, failed))
        paths[tuple(above)] += 1
    return paths


def in_store(trace: model.Trace) -> Counter[Path]:
    """The paths of a trace read from a record store."""
    paths: Counter[Path] = Counter()
    above: list[Seen] = []
    for depth, span in trace.walk():
        assert not span.parent_missing, f"{span.operation}: its parent {span.parent_id} is not in the trace"
        assert span.finished, f"{span.operation} of {span.service} has not ended"
        assert span.error is None, f"{span.operation} of {span.service} failed: {span.error}"
        del above[depth:]
        above.append(Seen(span.service or "", span.operation, span.reference or "", len(span.links)))
        paths[tuple(above)] += 1
    return _certain(paths)


def in_jaeger(trace: dict[str, Any], prefix: str, *, may_fail: bool = False) -> Counter[Path]:
    """The paths of a trace as Jaeger's query API tells it; *prefix* is cut from the services' names."""
    spans = {span["spanID"]: span for span in trace["spans"]}
    assert len(spans) == len(trace["spans"]), "two spans have one id"
    failed = {key: span["operationName"] for key, span in spans.items()
              if any(tag["key"] == "error" for tag in span["tags"])}  # fmt: skip
    assert may_fail or not failed, f"failed: {sorted(failed.values())}"

    def parent(span: dict[str, Any]) -> dict[str, Any] | None:
        """What the UI nests the span under: its first ChildOf, or where there is none its first FollowsFrom."""
        ordered: Iterable[dict[str, Any]] = sorted(span["references"], key=lambda ref: ref["refType"])
        return next(iter(ordered), None)

    def path(span: dict[str, Any]) -> Path:
        above = parent(span)
        service = trace["processes"][span["processID"]]["serviceName"]
        assert service.startswith(prefix), service
        seen = Seen(
            service.removeprefix(prefix),
            span["operationName"],
            above["refType"].lower() if above else "",
            max(len(span["references"]) - 1, 0),
            span["spanID"] in failed,
        )
        return (*path(spans[above["spanID"]]), seen) if above else (seen,)

    return _certain(Counter(path(span) for span in sorted(spans.values(), key=lambda span: span["startTime"])))


def outline(paths: Iterable[Path]) -> str:
    """The tree that :func:`expected` reads, each path of it once, in the order of *paths*."""
    tree: dict[Seen, Any] = {}
    for path in paths:
        at = tree
        for seen in path:
            at = at.setdefault(seen, {})

    def lines(tree: dict[Seen, Any], depth: int) -> Iterable[str]:
        for seen, below in tree.items():
            follows = " ~" if seen.reference == "follows_from" else ""
            links = f" +{seen.links}" if seen.links else ""
            failed = " !" if seen.failed else ""
            yield f"{'  ' * depth}{seen.service} {seen.operation}{follows}{links}{failed}"
            yield from lines(below, depth + 1)

    return "\n".join(lines(tree, 0))


def _certain(paths: Counter[Path]) -> Counter[Path]:
    return Counter({path: count for path, count in paths.items() if not _BY_CHANCE & {span.operation for span in path}})


def shown(paths: Counter[Path]) -> str:
    """The paths as text, for the message of a test that fails."""
    lines = []
    for path, count in sorted(paths.items()):
        last = path[-1]
        lines.append(f"{count} x {'  ' * len(path)}{last.service} {last.operation} {last.reference} +{last.links}")
    return "\n".join(lines)


def assert_same(found: Counter[Path], wanted: Counter[Path]) -> None:
    """Fail with what is missing and what is too many."""
    missing, extra = wanted - found, found - wanted
    assert not missing, f"missing:\n{shown(missing)}\ntoo many:\n{shown(extra)}"
    assert not extra, f"too many:\n{shown(extra)}"
