# SPDX-License-Identifier: Apache-2.0
"""Tracing of python-requests: each HTTP request is a trace point, and passes the trace on in its headers."""

from osprofiler.instrumentation.requests import enable, send
from osprofiler.instrumentation.requests import uninstrument as disable

__all__ = ["disable", "enable", "send"]
