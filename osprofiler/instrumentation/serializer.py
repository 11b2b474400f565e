# SPDX-License-Identifier: Apache-2.0
"""A serializer for oslo.messaging. A service uses it to pass the trace on in its RPC contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.handlers import rpc


class TracingSerializer:
    """Wraps another serializer and adds the trace context; without *base*, the rest stays unchanged.

    On the server it makes the received trace the current one until the dispatch ends, unless a server span has done so
    already.
    """

    def __init__(self, base: Any = None) -> None:
        self._base = base

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        """Serialize *entity* with the base."""
        return entity if self._base is None else self._base.serialize_entity(ctxt, entity)

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        """Deserialize *entity* with the base."""
        return entity if self._base is None else self._base.deserialize_entity(ctxt, entity)

    def serialize_context(self, ctxt: Any) -> Any:
        """Serialize the context with the base, and add the current trace to the result."""
        context = ctxt if self._base is None else self._base.serialize_context(ctxt)
        return rpc.inject(context) if isinstance(context, Mapping) else context

    def deserialize_context(self, ctxt: Any) -> Any:
        """Continue the trace in *ctxt*, remove its fields, and deserialize the rest with the base."""
        if isinstance(ctxt, Mapping):
            ctxt = rpc.continue_trace(ctxt)
        return ctxt if self._base is None else self._base.deserialize_context(ctxt)
