# SPDX-License-Identifier: Apache-2.0
"""The ASGI middleware, which continues or begins the trace of each web request and WebSocket connection."""

from osprofiler.instrumentation.asgi import AsgiMiddleware

__all__ = ["AsgiMiddleware"]
