# SPDX-License-Identifier: Apache-2.0
"""The Jaeger tracer under the profiler: OpenTracing's API, and the profiler's trace points on the same spans."""

from __future__ import annotations

import concurrent.futures
import random
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any, TypeAlias

import jaeger_client
import opentracing
from jaeger_client import constants
from jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory
from jaeger_client.sampler import ConstSampler, Sampler
from jaeger_client.throttler import Throttler
from jaeger_client.tracer import TracerMetrics
from opentracing.ext import tags as ext_tags

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.context import current
from osprofiler.context.ended_points import without_ended_parents
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.trace_context import DEBUG, NO_BAGGAGE, SAMPLED, TraceContext
from osprofiler.context.undecided import Undecided
from osprofiler.context.values import label, usual
from osprofiler.delivery.base import NullReporter, Reporter
from osprofiler.delivery.holding import Holding
from osprofiler.propagation.jaeger import DEBUG_ID
from osprofiler.records import ids, names
from osprofiler.tracer.codec import codecs
from osprofiler.tracer.span import Span, begin

Parent: TypeAlias = "Span | jaeger_client.SpanContext | None"

#: The limit of one span, in characters of names, tags, info and logs, unless the transport has a smaller one.
MAX_SPAN_CHARS = 4 << 20


class Tracer(jaeger_client.Tracer):
    """A jaeger-client tracer with our spans, scope manager, codecs and reporter.

    ``start_span`` and the rest of OpenTracing's API are for any instrumentation. :meth:`open_point` opens the
    profiler's trace points, and ``Point.end`` closes them.
    """

    def __init__(
        self,
        service_name: str,
        reporter: Reporter | None = None,
        sampler: Sampler | None = None,
        *,
        tags: Mapping[str, Any] | None = None,
        throttler: Throttler | None = None,
        metrics_factory: MetricsFactory | None = None,
    ) -> None:
        # jaeger-client's constructor resolves the name of this host over DNS, which may block the start of a service.
        opentracing.Tracer.__init__(self, scope_manager=current.manager)
        self.service_name = service_name
        self.sampler = sampler or ConstSampler(False)
        self.throttler = throttler
        self.metrics_factory = metrics_factory or LegacyMetricsFactory(Metrics())
        self.keeps_metrics = metrics_factory is not None  # nobody reads the default metrics
        self.metrics = TracerMetrics(self.metrics_factory)
        self.codecs = dict(codecs())
        # Attributes that code for jaeger-client may read, with the same defaults.
        self.random = random.Random()
        self.one_span_per_rpc = False
        self.debug_id_header = DEBUG_ID
        self.max_tag_value_length = constants.MAX_TAG_VALUE_LENGTH
        self.max_traceback_length = constants.MAX_TRACEBACK_LENGTH
        self.max_trace_id_bits = constants._max_trace_id_bits
        self.tags: dict[str, Any] = dict(tags or {})
        self.max_span_chars = MAX_SPAN_CHARS
        self.reporter: Reporter = NullReporter()
        self.receiver: Reporter | Holding = self.reporter  # of the spans: the reporter, or what is in front of it
        self.report_to(reporter or NullReporter())

    # The process has one scope manager, and configuration may replace it. So it is read at each use.

    @property
    def scope_manager(self) -> opentracing.ScopeManager:
        return current.manager

    @property
    def active_span(self) -> opentracing.Span | None:
        active = current.manager.active
        return None if active is None else active.span

    def report_to(self, reporter: Reporter, service_name: str | None = None) -> None:
        """Send later starts and ends of spans to *reporter*. The old reporter still delivers its own."""
        if service_name is not None:
            self.service_name = service_name
        reporter.set_process(self.service_name, self.tags, self.max_span_chars)
        self.max_span_chars = min(reporter.max_span_chars or MAX_SPAN_CHARS, MAX_SPAN_CHARS)
        holds = self.receiver is not self.reporter
        self.reporter = self.receiver = reporter
        self._wants_starts = reporter.wants_starts
        if holds:
            self.hold_undecided()

    def hold_undecided(self) -> None:
        """From now on, hold the spans of undecided traces until they are decided."""
        if self.receiver is self.reporter:
            self.receiver = Holding(self.reporter)
            self._wants_starts = True

    # Trace points

    def open_point(
        self,
        parent: Point,
        name: str,
        info: Mapping[str, Any] | None = None,
        kind: Callable[[Span, Point | None, Origin], Point] = Point,
        # Callers give these by name. They are not keyword-only: CPython takes longer to call with those.
        operation: str | None = None,
        tags: Mapping[str, Any] | None = None,
        span_id: int | None = None,
        follows: bool | None = None,
        above: Point | EllipsisType | None = ...,
    ) -> Point:
        """Open a trace point under *parent* and make it the current one.

        *info* is frozen here. *tags* follow the semantic conventions and have plain values. The caller has checked that
        ``parent.origin`` is sampled, and calls ``end`` of the returned point. That makes *above* the current point, or
        *parent* by default; *above* differs if *parent* is a point of another flow of control. *follows*: the parent
        does not wait; None: it waits unless it has ended.
        """
        origin, above_span = parent.origin, parent.span
        is_over = above_span is not None and bool(above_span.end_tick)
        # Nothing may fail here: if ``start`` opened no point, its ``stop`` would close another one.
        known = name if type(name) is str and name in usual else label(name)
        span = begin(self, origin, above_span, known, operation, info, span_id, is_over if follows is None else follows)
        if tags or (above_span is None and origin.foreign):
            span.set_first_tags(tags)
        if above is ...:
            above = without_ended_parents(parent) if is_over else parent
        elif above is not None:
            above = without_ended_parents(above)
        point = kind(span, above, origin)
        if self._wants_starts:
            self._report_start(span)
        current.point.set(point)
        return point

    def _report_start(self, span: Span) -> None:
        if span.flags & SAMPLED:
            try:
                self.receiver.report_start(span)
            except Exception as fault:
                guard.swallow("report", fault)

    # OpenTracing

    def start_span(
        self,
        operation_name: str | None = None,
        child_of: Parent = None,
        references: opentracing.Reference | Sequence[opentracing.Reference] | None = None,
        tags: Mapping[str, Any] | None = None,
        start_time: float | None = None,
        ignore_active_span: bool = False,
    ) -> Span:
        """Start a span; *start_time* in seconds since the epoch, None for now.

        Its parent is the first of these: *child_of*; the first reference that is ChildOf; the first reference; the
        current point, unless *ignore_active_span*. Without a parent the sampler decides.
        """
        links = _valid(references)
        child_of = _context_or_span(child_of)
        parent_span: Span | None = None
        follows = False
        if child_of is None and links:
            first = next((link for link in links if link.type == names.CHILD_OF), links[0])
            follows = first.type == names.FOLLOWS_FROM
            child_of = first.referenced_context
            links = [link for link in links if link is not first]
        if child_of is None and not ignore_active_span and (point := current.point.get()) is not None:
            origin, parent_span = point.origin, point.span if isinstance(point.span, Span) else None
        elif isinstance(child_of, Span):
            origin, parent_span = child_of.origin, child_of
        elif child_of is not None and child_of.has_trace:
            origin = _origin_of(child_of)
        else:
            origin = self._new_trace(operation_name or "", child_of)
        span = begin(self, origin, parent_span, operation=label(operation_name or ""), follows=follows)
        if type(origin) is Undecided and parent_span is None and child_of is not None:
            span.parent_span_id, span.parent_uuid = child_of.span_id, None  # see _origin_of
        if start_time is not None:
            span.started_at(start_time)
        if links:
            span.links = [
                (link.type, link.referenced_context.trace_id, link.referenced_context.span_id) for link in links
            ]
        span.set_first_tags(tags)
        self._emit_span_metrics(span=span, join=bool(tags and tags.get(ext_tags.SPAN_KIND) == "server"))
        if self._wants_starts:
            self._report_start(span)
        return span

    def _new_trace(self, operation: str, asked_by: jaeger_client.SpanContext | None) -> Origin:
        """The origin of a trace that the sampler decides about. *asked_by* has no ids, but perhaps a trace to join."""
        joins: TraceContext | None = getattr(asked_by, "joins", None)
        if asked_by is not None and joins is not None:
            sampled, tags = self.sampler.is_sampled(joins.trace_id, operation)
            key = joins.hmac_key or config.current().first_key
            flags = SAMPLED if sampled else 0
            return Origin(joins._replace(flags=flags, hmac_key=key, baggage=asked_by.baggage), tags)
        trace_id = ids.new_trace_id()
        debug_id = asked_by.debug_id if asked_by is not None else None
        flags, tags = 0, {}
        if debug_id and self.is_debug_allowed(operation):
            flags, tags = SAMPLED | DEBUG, {DEBUG_ID: debug_id}
        elif not debug_id:
            sampled, tags = self.sampler.is_sampled(trace_id, operation)
            flags = SAMPLED if sampled else 0
        context = TraceContext.from_ids(
            trace_id,
            0,
            flags=flags,
            hmac_key=config.current().first_key,
            baggage=asked_by.baggage if asked_by is not None else NO_BAGGAGE,
        )
        return Origin(context, {**(getattr(asked_by, "foreign", None) or {}), **tags})

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was reported before is delivered, *timeout* seconds at most. Return whether it is."""
        return self.reporter.flush(timeout)

    def close(self) -> concurrent.futures.Future[bool]:
        """Flush and stop the reporter. Return a done future: jaeger-client returns one, for tornado's coroutines."""
        self.sampler.close()
        done: concurrent.futures.Future[bool] = concurrent.futures.Future()
        done.set_result(self.reporter.close())
        return done


def _origin_of(context: jaeger_client.SpanContext) -> Origin:
    """The origin of spans under *context*, which was received or taken from a span."""
    known: Origin | None = getattr(context, "origin", None)
    if type(known) is Undecided:
        return known  # the context is of a span here; all spans of an undecided trace share its origin
    baggage = dict(context.baggage or {})
    if known is None:
        return Origin.from_ids(context.trace_id, context.span_id, flags=context.flags, baggage=baggage)
    continued = known.context(context.span_id, 0, context.flags, baggage)
    # Only the first span under the remote parent gets the foreign tags.
    return Origin(continued, known.foreign if context.span_id == known.parent_span_id else None)


def _valid(references: opentracing.Reference | Sequence[opentracing.Reference] | None) -> list[opentracing.Reference]:
    if references is None:
        return []
    many = [references] if isinstance(references, opentracing.Reference) else list(references)
    return [link for link in many if isinstance(link.referenced_context, jaeger_client.SpanContext)]


def _context_or_span(parent: Any) -> Parent:
    """*parent*, or its context, if that is of a Jaeger tracer; None for the no-op ones of OpenTracing itself."""
    if isinstance(parent, (Span, jaeger_client.SpanContext)):
        return parent
    context = getattr(parent, "context", None)
    return context if isinstance(context, jaeger_client.SpanContext) else None
