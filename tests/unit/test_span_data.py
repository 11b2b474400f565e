# SPDX-License-Identifier: Apache-2.0
"""A live span and one made of its records are the same to encoders, and each name is written down once."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import opentracing
import pytest

import osprofiler
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.queue import QueuedSpan
from osprofiler.records import names, span_records
from osprofiler.records.span_data import SpanData
from osprofiler.records.stored_span import StoredSpan
from osprofiler.tracer.span import Span
from osprofiler.tracer.tracer import Tracer

BASE, PARENT = "f0e1d2c3-b4a5-4697-8879-6a5b4c3d2e1f", "01234567-89ab-4cde-8f01-23456789abcd"
MEMBERS = {name for name in vars(SpanData) if not name.startswith("_")}

#: True of every span of records: encoders then look at the ids once more.
LOOKED_AT = "has_verbatim_ids"


def live_span(origin: Origin) -> Span:
    with scope.entered(None):
        follows = bool(origin.parent_span_id)
        info = {"db": {"statement": "SELECT 1"}}
        point = Tracer("test").open_point(Point(None, None, origin), "db", info, follows=follows)
        span = point.span
        assert span is not None
        span.set_tag("error", True)
        span.log_kv({"event": "error"})
        span.links = [(names.CHILD_OF, origin.trace_id, 7), (names.FOLLOWS_FROM, 5, 6)]
        point.end({"rows": 3})
        return span


def read(span: SpanData) -> dict[str, Any]:
    """Every member of the protocol. Info is without the host, which is in records, and in the process of a span."""
    values = {name: getattr(span, name) for name in MEMBERS - {LOOKED_AT, "head"}}
    for info in "start_info", "stop_info":
        values[info] = {key: value for key, value in values[info].items() if key != "host"}
    return {**values, "head": span.head()[:-1]}


@pytest.mark.parametrize(
    "origin",
    [
        Origin.from_osprofiler("k", BASE, PARENT),
        Origin.from_osprofiler("k", BASE),
        Origin.from_osprofiler("k", "my trace", "my parent"),
        Origin.from_ids(5, 7),
    ],
    ids=["a remote parent", "a virtual root", "not UUIDs", "64 bits"],
)
def test_a_span_and_its_records_read_alike(origin: Origin) -> None:
    live: SpanData = live_span(origin)
    recorded: SpanData = StoredSpan(span_records.start(live), span_records.stop(live))
    assert read(recorded) == read(live)
    assert recorded.has_verbatim_ids or not live.has_verbatim_ids


def test_the_head_is_what_its_members_say() -> None:
    span = live_span(Origin.from_ids(5, 7))
    assert span.head() == (span.trace_id, "db SELECT", span.start_us, span.duration_us, True)
    span.end_tick = None
    assert (span.duration_us, span.head()[3]) == (None, 0)


def test_a_queued_span_is_span_data_that_can_be_masked() -> None:
    assert set(QueuedSpan.__annotations__) == {"name", "start_info", "stop_info", "own_tags", "own_logs"}
    span = live_span(Origin.from_ids(5, 7))
    for name in QueuedSpan.__annotations__:
        setattr(span, name, getattr(span, name))
    assert span.chars > 0


def test_reference_kinds_are_opentracings() -> None:
    kinds = opentracing.ReferenceType
    assert (names.CHILD_OF, names.FOLLOWS_FROM) == (kinds.CHILD_OF, kinds.FOLLOWS_FROM)


def literals(path: Path) -> Iterator[str]:
    """The strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text())
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            yield node.value


def test_a_name_is_written_in_one_place() -> None:
    root = Path(osprofiler.__file__).parent
    spelled = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    # The package has the reserved key's name; so have its logger, its distribution and its command.
    spelled.remove(names.RESERVED)
    keys_of_oslo_middleware = {names.REQUEST_ID, names.GLOBAL_REQUEST_ID}  # of the environ
    assert spelled > {"osprofiler.name", "osprofiler.join.failed", "follows_from", "error.raised_in"}
    places = [
        (path.relative_to(root).as_posix(), text)
        for path in sorted(root.rglob("*.py"))
        if path.name != "names.py"
        for text in literals(path)
        if text in spelled or text.startswith(tuple(f"{name}." for name in spelled))
        if not (path.name == "wsgi.py" and text in keys_of_oslo_middleware)
    ]
    assert places == []
