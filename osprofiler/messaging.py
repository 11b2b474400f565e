# SPDX-License-Identifier: Apache-2.0
"""RPC over oslo.messaging: the trace's context in the envelope, a span at the client, a span around the dispatch.

Three ways in: :class:`TracingSerializer` around a service's own serializer carries the context;
:func:`instrument_client` and :func:`instrument_server` trace one object; :func:`instrument` traces every client and
server of the process, those that exist already too. They may be combined: a message gets one client span and one
server span.
"""

from osprofiler.handlers.rpc import extract, inject
from osprofiler.instrumentation.messaging import instrument, instrument_client, instrument_server, uninstrument
from osprofiler.instrumentation.serializer import TracingSerializer

__all__ = [
    "TracingSerializer",
    "extract",
    "inject",
    "instrument",
    "instrument_client",
    "instrument_server",
    "uninstrument",
]
