# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own OpenTelemetry tracing: its spans and ours make one trace, and none stands there twice.

oslo.middleware makes a span of each web request, and oslo.messaging of each call and each dispatch. Where ours are
recorded, a span of theirs becomes a child of our current point, and the points below it become its children. Where our
own span stands for the same request, call or dispatch, theirs is not made. Which of the two is made, the option
``opentelemetry`` decides where our span would be opened.

Without a trace of ours everything is left to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from osprofiler import config, propagation
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED, TraceContext
from osprofiler.handlers import rpc
from osprofiler.propagation import carriers, w3c
from osprofiler.propagation.formats import Remote

if TYPE_CHECKING:
    from opentelemetry.context import Context

#: The keys of a WSGI environment under which oslo.middleware keeps its span, and what takes back its context.
_SPAN, _TOKEN = "otel.span", "otel.token"

_SPAN_ID_BITS = (1 << 64) - 1


def messaging_is_traced(owner: Any) -> bool:
    """Whether oslo.messaging makes spans of its own for *owner*, a call context, a transport or a server."""
    return _is_on(getattr(owner, "conf", None))


def _is_on(conf: Any) -> bool:
    try:
        return bool(conf.oslo_messaging_tracing.tracing_enabled)
    except Exception:  # older releases, and private ConfigOpts objects, do not have the option
        return False


def leads_messaging(owner: Any) -> bool:
    """Whether the spans of *owner*'s calls or dispatches are left to oslo.messaging."""
    return config.current().opentelemetry == "parent" and messaging_is_traced(owner)


def span_of(environ: Mapping[str, Any]) -> Remote | None:
    """The span that oslo.middleware has made for a request, if it is sampled and may be the parent of ours."""
    span = environ.get(_SPAN)
    if span is None or config.current().opentelemetry == "off":
        return None
    return _remote(span.get_span_context())


def _remote(context: Any) -> Remote | None:
    sampled = context.is_valid and context.trace_flags.sampled
    return Remote(context.trace_id, context.span_id, 1) if sampled else None


# What stands in for their functions


def _trace_send(original: Method) -> Method:
    def trace_send(conf: Any, target: Any, method: Any, call_type: Any, msg_ctxt: Any) -> AbstractContextManager[None]:
        """Replaces ``trace_send``: a call or cast."""
        send: AbstractContextManager[None] = original(conf, target, method, call_type, msg_ctxt)
        here = _here()
        if here is None or not _is_on(conf):
            return send
        if rpc.is_call(here):
            for name in (w3c.TRACEPARENT, w3c.TRACESTATE):  # of the message that is answered, perhaps
                msg_ctxt.pop(name, None)
            return _inside(here)
        return _below(here, send)

    return trace_send


def _trace_receive(original: Method) -> Method:
    def trace_receive(conf: Any, message: Any) -> AbstractContextManager[None]:
        """Replaces ``trace_receive``: the dispatch of a message."""
        receive: AbstractContextManager[None] = original(conf, message)
        here = _here()
        if here is None or not _is_on(conf):
            return receive
        if rpc.is_dispatch(here):
            return _inside(here)
        with guard.Harmless("opentelemetry"):
            message.ctxt = _led(message.ctxt, here)
        return _below(here, receive)

    return trace_receive


def _process_request(original: Method) -> Method:
    def process_request(self: Any, req: Any) -> Any:
        """Replaces ``TracingMiddleware.process_request``, which opens the span of a request."""
        with guard.Harmless("opentelemetry"):
            if self._tracing_enabled and config.current().opentelemetry != "off" and _lead(req.environ):
                return None
        return original(self, req)

    return process_request


def _lead(environ: dict[str, Any]) -> bool:
    """Make their span of a request part of our trace; whether our own span already stands for the request."""
    from opentelemetry import context, trace

    fields = carriers.Environ(environ)
    received = fields.get(w3c.TRACEPARENT)
    here = current.sampled()
    if here is None:
        if not received:
            _write(environ, propagation.asked(fields))
        return False
    if received and not _names(received, here.origin.trace_id):
        return False  # its caller is in a trace of theirs
    if (point := _here()) is None:  # it may still turn out that our span is not recorded
        _write(environ, here.context())
        return False
    ours = _context(point)
    environ[_SPAN] = trace.get_current_span(ours)  # ends without a trace
    environ[_TOKEN] = context.attach(ours)
    return True


def _write(environ: dict[str, Any], parent: TraceContext | None) -> None:
    if parent is not None:
        text = w3c.encode(parent.trace_id, parent.span_id or _stand_in(parent.trace_id), SAMPLED)
        environ[carriers.environ_key(w3c.TRACEPARENT)] = text


# Our point as the current span of OpenTelemetry, and the other way round


def _here() -> Point | None:
    """The current point, if it is surely recorded, and OpenTelemetry is to see it."""
    here = current.sampled()
    if here is None or config.current().opentelemetry == "off":
        return None
    context = here.context()
    return here if context is not None and context.sampled else None


def _context(point: Point) -> Context:
    """OpenTelemetry's context with *point* as its current span."""
    from opentelemetry import trace

    trace_id = point.origin.trace_id
    span_id = point.origin.parent_span_id if point.span is None else point.span.span_id
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    ours = trace.SpanContext(trace_id, span_id or _stand_in(trace_id), False, flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(ours))


def _stand_in(trace_id: int) -> int:
    """The span id of the parent where a trace has begun without a span. Jaeger shows such a child as a root."""
    return trace_id & _SPAN_ID_BITS or 1


@contextlib.contextmanager
def _inside(point: Point) -> Iterator[None]:
    """Run a block with *point* as the current span of OpenTelemetry."""
    token = None
    with guard.Harmless("opentelemetry"):
        from opentelemetry import context

        token = context.attach(_context(point))
    try:
        yield
    finally:
        if token is not None:
            context.detach(token)


@contextlib.contextmanager
def _below(point: Point, theirs: AbstractContextManager[None]) -> Iterator[None]:
    """Run a block inside *theirs*, which opens a span. If that is in the trace of *point*, points are its children."""
    with _inside(point), theirs:
        root = None
        with guard.Harmless("opentelemetry"):
            root = _root_at_theirs(point)
        with scope.entered(root or point):
            yield


def _root_at_theirs(point: Point) -> Point | None:
    from opentelemetry import trace

    span, context = _remote(trace.get_current_span().get_span_context()), point.context()
    if span is None or context is None or span.trace_id != context.trace_id:
        return None
    tags = point.origin.foreign if point.span is None else None  # of the first span
    return Point(None, point, Origin(propagation.below(context, span), tags))


def _led(received: Any, point: Point) -> Any:
    """The context of a message, in which OpenTelemetry finds *point* if it finds no sender."""
    from opentelemetry import propagate, trace

    if trace.get_current_span(propagate.extract(received)).get_span_context().is_valid:
        return received
    led = dict(received)
    propagate.inject(led, _context(point))
    return led


def _names(traceparent: str, trace_id: int) -> bool:
    return f"-{trace_id:032x}-" in traceparent


_wrapping = Wrapping(
    Target("oslo_middleware.tracing", "TracingMiddleware", "process_request", _process_request),
    Target("oslo_messaging._tracing", "", "trace_send", _trace_send),
    Target("oslo_messaging._tracing", "", "trace_receive", _trace_receive),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
