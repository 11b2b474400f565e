# SPDX-License-Identifier: Apache-2.0
"""oslo.messaging's serializer of RPC contexts: the way by which services take a trace along themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.handlers import rpc


class TracingSerializer:
    """A serializer around another (or None: around one that changes nothing) that carries the trace's context.

    On the server it makes the received trace the current one for the rest of the dispatch; a server span, where
    there is one, has done so already.
    """

    def __init__(self, base: Any = None) -> None:
        self._base = base

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        """Serialize as the base does."""
        return entity if self._base is None else self._base.serialize_entity(ctxt, entity)

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        """Deserialize as the base does."""
        return entity if self._base is None else self._base.deserialize_entity(ctxt, entity)

    def serialize_context(self, ctxt: Any) -> Any:
        """Serialize as the base does; the result carries the current trace too."""
        context = ctxt if self._base is None else self._base.serialize_context(ctxt)
        return rpc.inject(context) if isinstance(context, Mapping) else context

    def deserialize_context(self, ctxt: Any) -> Any:
        """Continue the trace in *ctxt*, take its fields out, and deserialize the rest as the base does."""
        if isinstance(ctxt, Mapping):
            ctxt = rpc.continue_trace(ctxt)
        return ctxt if self._base is None else self._base.deserialize_context(ctxt)
