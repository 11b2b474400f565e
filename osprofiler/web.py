# SPDX-License-Identifier: Apache-2.0
"""REST: the headers that pass a trace on, and the WSGI middleware that continues or begins a trace."""

from osprofiler.handlers.http_client import get_trace_id_headers
from osprofiler.instrumentation.wsgi import WsgiMiddleware, disable, enable
from osprofiler.propagation.osprofiler import TRACE_HMAC, TRACE_INFO

__all__ = ["X_TRACE_HMAC", "X_TRACE_INFO", "WsgiMiddleware", "disable", "enable", "get_trace_id_headers"]

#: The names of the header with base_id and parent_id, and of the header with its signature.
X_TRACE_INFO = TRACE_INFO
X_TRACE_HMAC = TRACE_HMAC
