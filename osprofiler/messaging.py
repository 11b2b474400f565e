# SPDX-License-Identifier: Apache-2.0
"""RPC over oslo.messaging: the trace context in each message, a client span, and a server span around the dispatch.

There are three ways to use it. :class:`TracingSerializer` wraps a service's own serializer and only passes the context
on. :func:`instrument_client` and :func:`instrument_server` trace one object. :func:`instrument` traces every client and
server of the process, also those that exist already. They can be combined: a message has one client span and one server
span.
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
