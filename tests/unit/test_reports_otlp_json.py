# SPDX-License-Identifier: Apache-2.0
"""A trace in OTLP's JSON, against OpenTelemetry's own messages."""

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from osprofiler.reports import model
from osprofiler.reports.views import jaeger_json, otlp_json
from tests.unit.reports_kit import Made, made, traces
from tests.unit.test_reports_views import hostile, troubled

_IDS = ("traceId", "spanId", "parentSpanId")


def spans(trace: model.Trace) -> list[Span]:
    """The spans of the JSON, read by OpenTelemetry's messages. These refuse a field that they do not know."""

    def refused(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    def with_ids(value: Any) -> Any:
        """*value* with ids as protobuf's own JSON has them: OTLP's are hexadecimal."""
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()  # JSON may have half a character, and protobuf may not
        if isinstance(value, list):
            return [with_ids(each) for each in value]
        if not isinstance(value, dict):
            return value
        ids = {key: base64.b64encode(bytes.fromhex(value[key])).decode() for key in value if key in _IDS}
        return {key: with_ids(each) for key, each in value.items()} | ids

    content = json.loads(json.dumps(otlp_json.traces_data(trace)), parse_constant=refused)
    read = json_format.ParseDict(with_ids(content), TracesData())
    return [span for part in read.resource_spans for scope in part.scope_spans for span in scope.spans]


@given(traces())
def test_all_spans_have_their_times_and_references(trace: model.Trace) -> None:
    writer = jaeger_json.Writer(trace)
    read = {span.span_id.hex(): span for span in spans(trace)}
    assert len(read) == len(trace.spans)
    for node in trace.spans.values():
        span = read[writer.span_id(node)]
        assert (span.name, span.start_time_unix_nano) == (node.operation, node.start_us * 1000)
        assert span.end_time_unix_nano == node.end_us * 1000
        parent = trace.spans[node.parent_id] if node.reference else None  # none in a circle of parents
        assert span.parent_span_id.hex() == (writer.span_id(parent) if parent else "")
        assert len(span.links) == len(node.links) + node.detached


def test_a_parent_that_did_not_wait_is_a_link_too() -> None:
    _, child = spans(made(Made("all", None, 0, 100), Made("late", "all", 50, 200, follows=True)))
    (link,) = child.links
    assert link.span_id == child.parent_span_id
    kinds = [(each.key, each.value.string_value) for each in link.attributes]
    assert kinds == [("opentracing.ref_type", "follows_from")]


def test_an_error_is_a_status() -> None:
    failed = [span for span in spans(troubled()) if span.status.code == Status.STATUS_CODE_ERROR]
    assert len(failed) == sum(node.error is not None for node in troubled().spans.values())
    assert all(attribute.key != "error" for span in failed for attribute in span.attributes)


@pytest.mark.parametrize("make", [hostile, troubled])
def test_any_trace_is_written(make: Any) -> None:
    assert len(spans(make())) == len(make().spans)
