# SPDX-License-Identifier: Apache-2.0
"""osprofiler 4.4.0: a service with its WSGI middleware, and with a serializer as services write theirs."""

import uuid

import oslo_messaging
from peer import Peer

from osprofiler import profiler, web

KEY = "KEY"


class Serializer(oslo_messaging.NoOpSerializer):
    def serialize_context(self, ctxt):
        here = profiler.get()
        if not here:
            return dict(ctxt)
        info = {"hmac_key": here.hmac_key, "base_id": here.get_base_id(), "parent_id": here.get_id()}
        return {**ctxt, "trace_info": info}

    def deserialize_context(self, ctxt):
        trace_info = ctxt.pop("trace_info", None)
        profiler.clean()
        if trace_info:
            profiler.init(**trace_info)
        return ctxt


def span_id(point_id):
    return uuid.UUID(point_id).hex[16:]


class Made(Peer):
    serializer = Serializer()

    def __init__(self, options):
        self._sampled = options.get("sampled", True)
        self._spans = []
        web.enable(KEY)

    def around(self, application):
        return web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True)

    def seen(self, environ):
        here = profiler.get()
        if here is None:
            return None
        if environ is not None:
            return self._point(here)
        with profiler.Trace("seen"):
            return self._point(here)

    def _point(self, here):
        parent = span_id(here.get_parent_id())
        return {"trace": uuid.UUID(here.get_base_id()).hex, "parent": parent, "recorded": True, "baggage": None}

    def run(self, format_, work):
        self._spans.clear()
        profiler.clean()
        if not self._sampled:
            work()
            return
        profiler.init(KEY)
        with profiler.Trace("run"):
            self._spans.append(span_id(profiler.get().get_id()))
            work()

    def headers(self):
        return web.get_trace_id_headers() if profiler.get() else {}

    def trace(self):
        here = profiler.get()
        return uuid.UUID(here.get_base_id()).hex if here else None

    def spans(self):
        return list(self._spans)
