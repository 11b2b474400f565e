# SPDX-License-Identifier: Apache-2.0
"""This project: a service with the WSGI middleware and ``instrument = messaging``, as its options say."""

from oslo_config import cfg
from peer import Peer, answer

from osprofiler import config, initializer, opts, web
from osprofiler.context import current
from osprofiler.delivery.base import Reporter
from osprofiler.tracer import global_tracer


class Made(Peer):
    def __init__(self, options):
        sampler = options.get("sampler", "") if options["role"] == "server" else f"const:{int(options['sampled'])}"
        opts.set_defaults(cfg.CONF, enabled=True, hmac_keys="KEY", connection_string="sqlite:////dev/null/none")
        for name, value in {
            "sampler": sampler,
            "instrument": "messaging",
            "trust_incoming": options.get("trust", "signed"),
        }.items():
            cfg.CONF.set_override(name, [value] if name == "instrument" else value, group="profiler")
        initializer.init_from_conf(cfg.CONF, None, "pairs", options["role"], "host")
        web.enable("KEY")
        self._spans = []
        spans = self._spans

        class Ids(Reporter):
            def report_span(self, span):
                spans.append(f"{span.span_id:016x}")

        global_tracer.get_tracer().report_to(Ids())

    def around(self, application):
        return web.WsgiMiddleware(application)

    def seen(self, environ):
        point = current.point.get()
        if point is None:
            return None
        span = point.span
        tags = [name for name in (span.own_tags if span is not None else ()) if name.startswith("foreign.")]
        return {
            "trace": f"{point.origin.trace_id:032x}",
            "parent": f"{span.parent_span_id:016x}" if span is not None else None,
            "recorded": point.origin.sampled,
            "tags": tags,
            "baggage": (span.baggage if span is not None else point.origin.baggage).get("user"),
        }

    def run(self, format_, work):
        names = {"signed": "osprofiler", "b3 multi": "b3"}
        # Where the context is signed, 4.4.0 is to understand the messages too.
        config.publish(propagation=(names.get(format_, format_),), rpc_plain_peers=format_ == "signed")
        self._spans.clear()

        def application(environ, start_response):
            span = current.point.get().span
            if span is not None:
                span.set_baggage_item("user", "u")
            work()
            start_response("200 OK", [])
            return [b""]

        answer(web.WsgiMiddleware(application))

    def headers(self):
        return web.get_trace_id_headers()

    def trace(self):
        return f"{current.point.get().origin.trace_id:032x}"

    def spans(self):
        return list(self._spans)
