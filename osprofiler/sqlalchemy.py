# SPDX-License-Identifier: Apache-2.0
"""Tracing of SQLAlchemy: each statement that an engine executes is a trace point."""

from osprofiler.instrumentation.sqlalchemy_engines import add_tracing, disable, enable, handle_error, wrap_session

__all__ = ["add_tracing", "disable", "enable", "handle_error", "wrap_session"]
