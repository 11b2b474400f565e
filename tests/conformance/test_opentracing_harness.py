# SPDX-License-Identifier: Apache-2.0
"""The tracer passes OpenTracing's own harness, and behaves like stock jaeger-client's tracer."""

import unittest
from collections.abc import Callable
from typing import Any

import jaeger_client
import opentracing
import pytest
from jaeger_client.reporter import InMemoryReporter
from jaeger_client.sampler import ConstSampler, Sampler
from opentracing.ext import tags as ext_tags
from opentracing.harness.api_check import APICompatibilityCheckMixin
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin

from osprofiler.context import current, scope
from osprofiler.tracer import global_tracer
from osprofiler.tracer.tracer import Tracer
from tests.unit.core_kit import SpanKeeper

pytestmark = pytest.mark.usefixtures("osprofiler_process")


class TestAPI(unittest.TestCase, APICompatibilityCheckMixin):
    def tracer(self) -> Tracer:
        return Tracer("harness", SpanKeeper(), ConstSampler(True))

    def check_baggage_values(self) -> bool:
        return True

    def check_scope_manager(self) -> bool:
        return True

    def is_parent(self, parent: Any, span: Any) -> bool:
        return bool(span.parent_span_id == (parent.span_id if parent is not None else 0))


class TestScopes(unittest.TestCase, ScopeCompatibilityCheckMixin):
    def setUp(self) -> None:
        current.point.set(None)

    tearDown = setUp

    def scope_manager(self) -> scope.ScopeManager:
        return scope.ScopeManager()


def test_it_is_the_global_tracer() -> None:
    made = global_tracer.get_tracer()
    assert opentracing.global_tracer() is made
    assert isinstance(global_tracer.get_tracer(), jaeger_client.Tracer)


# The same operations on stock jaeger-client and on ours


def ours(sampler: Sampler) -> tuple[Any, Callable[[], list[Any]]]:
    keeper = SpanKeeper()
    return Tracer("parity", keeper, sampler), lambda: keeper.finished


def stocks(sampler: Sampler) -> tuple[Any, Callable[[], list[Any]]]:
    reporter = InMemoryReporter()
    made = jaeger_client.Tracer(
        "parity",
        reporter,
        sampler,
        generate_128bit_trace_id=True,
        scope_manager=opentracing.scope_managers.ThreadLocalScopeManager(),
    )
    return made, reporter.get_spans


def tags_of(span: Any) -> dict[str, Any]:
    kinds = {0: "vStr", 1: "vDouble", 2: "vBool", 3: "vLong"}
    return {tag.key: getattr(tag, kinds[tag.vType]) for tag in span.tags}


def logs_of(span: Any) -> list[dict[str, Any]]:
    return [{field.key: field.vStr for field in log.fields} for log in span.logs]


def told(spans: list[Any]) -> list[Any]:
    """The finished spans with ids by order of appearance."""
    known: dict[int, int] = {}

    def short(value: int | None) -> int | None:
        return value and known.setdefault(value, len(known) + 1)

    return [
        [
            span.operation_name,
            short(span.trace_id),
            short(span.span_id),
            short(span.parent_id),
            span.flags,
            tags_of(span),
            logs_of(span),
            span.context.baggage,
            span.end_time >= span.start_time,
        ]
        for span in spans
    ]


def plain(tracer: Any) -> Any:
    span = tracer.start_span("a", tags={"s": "x", "i": 5, "f": 1.5, "b": True, "n": None, "l": [1]})
    span.set_tag("more", "y").set_tag("more", "z")
    span.log_kv({"event": "e", "k": "v"})
    span.set_operation_name("renamed")
    span.finish()
    return span.is_sampled(), span.is_debug(), span.is_rpc()


def children(tracer: Any) -> None:
    with tracer.start_span("root") as root:
        with tracer.start_span("by span", child_of=root):
            pass
        with tracer.start_span("by context", child_of=root.context):
            pass
        with tracer.start_span("by reference", references=opentracing.child_of(root.context)):
            pass
        with tracer.start_span("following", references=[opentracing.follows_from(root.context)]):
            pass
        with tracer.start_span("none", references=[opentracing.child_of(None)]):
            pass
        with tracer.start_span("no parent", child_of=None, ignore_active_span=True):
            pass


def active(tracer: Any) -> Any:
    answers = [tracer.active_span]
    with tracer.start_active_span("outer") as outer:
        answers.append(tracer.active_span is outer.span)
        with tracer.start_active_span("inner", finish_on_close=False) as inner:
            with tracer.start_span("innermost"):
                pass
            with tracer.start_active_span("aside", ignore_active_span=True):
                pass
        inner.span.finish()
        answers.append(tracer.active_span is outer.span)
    return [*answers, tracer.active_span]


def baggage(tracer: Any) -> Any:
    root = tracer.start_span("root")
    root.set_baggage_item("Key", "value")
    child = tracer.start_span("child", child_of=root)
    child.set_baggage_item("own", "1")
    grandchild = tracer.start_span("grandchild", child_of=child.context)
    for span in (grandchild, child, root):
        span.finish()
    return [span.get_baggage_item(key) for span in (root, child, grandchild) for key in ("Key", "key", "own")]


def errors(tracer: Any) -> Any:
    with pytest.raises(ValueError, match="bad"), tracer.start_span("a"):
        raise ValueError("bad")
    with pytest.raises(KeyError), tracer.start_active_span("b"):
        raise KeyError("k")


def priority(tracer: Any) -> Any:
    answers = []
    for value in (0, 1, "0", "x"):
        span = tracer.start_span("a")
        span.set_tag(ext_tags.SAMPLING_PRIORITY, value)
        answers.append([span.is_sampled(), span.is_debug()])
        span.finish()
    return answers


def kinds(tracer: Any) -> Any:
    answers = []
    for kind in ("client", "server", "producer"):
        with tracer.start_span("a", tags={ext_tags.SPAN_KIND: kind}) as span:
            answers.append([span.is_rpc(), span.is_rpc_client()])
    return answers


def explicit_times(tracer: Any) -> Any:
    span = tracer.start_span("a", start_time=1_000_000.25)
    span.finish(finish_time=1_000_001.75)
    return span.start_time, span.end_time if span.is_sampled() else None  # stock forgets it


def finished_twice(tracer: Any) -> None:
    span = tracer.start_span("a")
    span.finish()
    span.finish()


def carried(tracer: Any) -> Any:
    span = tracer.start_span("a")
    span.set_baggage_item("k", "a value")
    answers: list[Any] = []
    for wire in (opentracing.Format.TEXT_MAP, opentracing.Format.HTTP_HEADERS):
        carrier: dict[str, str] = {}
        tracer.inject(span.context, wire, carrier)
        answers.append([carrier.get("uberctx-k"), "uber-trace-id" in carrier])
        context = tracer.extract(wire, carrier)
        same = [getattr(context, key) == getattr(span.context, key) for key in ("trace_id", "span_id", "flags")]
        answers.append([same, context.baggage])
        tracer.start_span("on the other side", child_of=context).finish()
    span.finish()
    for bad in ("no such format", None):
        with pytest.raises(opentracing.UnsupportedFormatException):
            tracer.inject(span.context, bad, {})
        with pytest.raises(opentracing.UnsupportedFormatException):
            tracer.extract(bad, {})
    with pytest.raises(opentracing.InvalidCarrierException):
        tracer.inject(span.context, opentracing.Format.TEXT_MAP, [])
    return answers


def debug_id(tracer: Any) -> Any:
    context = tracer.extract(opentracing.Format.TEXT_MAP, {"jaeger-debug-id": "look at this"})
    span = tracer.start_span("a", child_of=context)
    span.finish()
    return span.is_sampled(), span.is_debug()


def nothing_to_extract(tracer: Any) -> Any:
    return tracer.extract(opentracing.Format.TEXT_MAP, {"other": "1"})


OPERATIONS = [
    plain,
    children,
    active,
    baggage,
    priority,
    kinds,
    explicit_times,
    finished_twice,
    carried,
    debug_id,
    nothing_to_extract,
]


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_parity_with_jaeger_client(operation: Callable[[Any], Any], sampled: bool) -> None:
    results = []
    for make in (stocks, ours):
        tracer, finished = make(ConstSampler(sampled))
        answer = operation(tracer)
        results.append([answer, told(finished())])
    assert results[1] == results[0]


def test_an_error_in_a_with_block_is_tagged_and_logged() -> None:
    for make in (stocks, ours):
        tracer, finished = make(ConstSampler(True))
        errors(tracer)
        for span in finished():
            assert tags_of(span)["error"] is True
            (log,) = logs_of(span)
            assert log["event"] == "error"
            assert {"message", "error.object", "error.kind", "stack"} <= log.keys()
