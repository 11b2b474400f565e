# SPDX-License-Identifier: Apache-2.0
"""Outlines equal the traces that are read as a whole, or there is none; for traces of any shape and odd records."""

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings

from osprofiler import reports
from osprofiler.records import jaeger_json
from osprofiler.reports import model, outline
from tests.unit import boots
from tests.unit.reports_kit import traces
from tests.unit.test_reports_views import troubled

FIELDS = [
    *("parent_id", "name", "operation", "start_us", "duration_us", "stop_us", "has_start", "reference"),
    *("parent_missing", "project", "service", "host", "error"),
]


def compact(trace: model.Trace) -> Any:
    spans = {key: [*(getattr(span, name) for name in FIELDS), list(span.links)] for key, span in trace.spans.items()}
    return trace.base_id, trace.start_us, trace.end_us, [root.trace_id for root in trace.roots], spans


def whole_of_jaegers(item: dict[str, Any]) -> Any:
    return compact(model.from_records(jaeger_json.records(item)))


@given(traces())
@settings(max_examples=150, deadline=None)
def test_an_outline_equals_the_whole_trace(trace: model.Trace) -> None:
    (item,) = json.loads("".join(reports.jaeger_text(trace)))["data"]
    made_outline = outline.of(copy.deepcopy(item))
    if made_outline is not None:
        assert compact(made_outline) == whole_of_jaegers(item)


@pytest.mark.parametrize(
    "trace", [boots.boot(1), boots.boot(2, error_in="db INSERT"), troubled()], ids=["boot", "failed", "troubled"]
)
def test_outlines_of_boots(trace: model.Trace) -> None:
    (item,) = json.loads("".join(reports.jaeger_text(trace)))["data"]
    made_outline = outline.of(item)
    assert made_outline is not None
    assert compact(made_outline) == whole_of_jaegers(item)


BROKEN: list[tuple[str, Any]] = [
    ("spanID", "x"), ("spanID", 5), ("traceID", "1"), ("startTime", "soon"), ("startTime", 1.5), ("duration", None),
    ("operationName", None), ("operationName", ""), ("references", [{}]), ("tags", [{"key": "error", "value": True}]),
    ("tags", [{}]), ("processID", "p9"), ("process", {"serviceName": "other"}), ("parentSpanID", "1"),
    ("startTime", 10**20), ("startTime", -(10**20)), ("duration", 10**20), ("duration", -1),
    ("tags", [{"key": "osprofiler.trace_id", "value": "own"}]), ("tags", {"error": "x"}), ("spanID", "00"),
    *(("references", [{"refType": kind, "traceID": trace, "spanID": span} for kind, trace, span in references])
      for references in (
          [("FOLLOWS_FROM", "", "1")], [("SIBLING", "", "1")], [("CHILD_OF", "1", "1")], [("CHILD_OF", "", "0")],
          [("FOLLOWS_FROM", "", "1"), ("CHILD_OF", "", "2"), ("CHILD_OF", "", "3")],
          [("CHILD_OF", "", "1"), ("FOLLOWS_FROM", "", "1")], [("CHILD_OF", "", "1"), ("CHILD_OF", "", "1")],
          [("CHILD_OF", "", "1"), ("CHILD_OF", "1", "1")], [("FOLLOWS_FROM", "", "1"), ("FOLLOWS_FROM", "", "2")],
      )),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), copy.deepcopy(BROKEN))
def test_an_outline_of_odd_spans_equals_the_whole_or_is_none(key: str, value: Any) -> None:
    (item,) = json.loads("".join(reports.jaeger_text(boots.boot(3))))["data"]
    item["spans"][random.Random(key).randrange(1, 17)][key] = value
    for reference in value if key == "references" else ():
        if reference.get("traceID") == "":
            reference["traceID"] = item["traceID"]
    made_outline = outline.of(copy.deepcopy(item))
    assert made_outline is None or compact(made_outline) == whole_of_jaegers(item)


def test_a_trace_without_spans_has_no_outline() -> None:
    assert outline.of({"traceID": "1", "spans": [], "processes": {}}) is None
