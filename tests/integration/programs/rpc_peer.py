# SPDX-License-Identifier: Apache-2.0
"""One side of an RPC in a process of its own: ``rpc_peer.py '<options as JSON>'``, with this osprofiler or stock's.

It writes each span (stock: each record) as a line of JSON into the file ``spans``. A server prints ``ready``, serves
until its standard input ends, and then prints what its workers have left over. A client runs ``steps`` and prints
their outcomes.
"""

import json
import os
import sys
import threading
import warnings

warnings.simplefilter("ignore")
options = json.loads(sys.argv[1])
if options.get("executor") == "eventlet":
    import eventlet

    eventlet.monkey_patch()

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402

from osprofiler import profiler  # noqa: E402

try:
    from osprofiler import config, messaging
    from osprofiler.concurrency import isolation
    from osprofiler.context import current
    from osprofiler.delivery.base import Reporter
    from osprofiler.tracer import global_tracer
except ImportError:
    messaging = None

_lock = threading.Lock()
_rows = open(options["spans"], "a", buffering=1)  # open as long as the process  # noqa: SIM115


def write(row):
    with _lock:
        _rows.write(json.dumps(row) + "\n")


def report_ours():
    class Rows(Reporter):
        def report_span(self, span):
            tags = dict(span.own_tags)
            row = {
                "base": span.origin.base_id,
                "id": span.point_id,
                "parent": span.parent_point_id,
                "root": not span.parent_span_id,
                "follows": span.follows,
                "operation": span.operation_name,
                "kind": tags.get("span.kind"),
                "user": tags.get("openstack.user_id"),
                "destination": tags.get("message_bus.destination"),
                "error": next((fields["error.kind"] for _, fields in span.own_logs if "error.kind" in fields), None),
                "info": span.start_info,
            }
            write(json.loads(json.dumps(row, default=dict)))

    global_tracer.get_tracer().report_to(Rows())
    config.publish(hmac_keys=tuple(options["keys"]), rpc_plain_peers=options.get("plain_peers", False))
    if options.get("isolate", True):
        isolation.install()
    if options.get("instrument") == "process":
        messaging.instrument()


def report_stock():
    from osprofiler import notifier

    def note(record, context=None):
        if record["name"].endswith("-start"):
            write({"base": record["base_id"], "id": record["trace_id"], "parent": record["parent_id"]})

    notifier.set(note)


class ServiceSerializer(oslo_messaging.NoOpSerializer):
    """As services write theirs: with the key in the message, and with an ``init`` that nothing takes back."""

    def serialize_context(self, ctxt):
        context = dict(ctxt)
        here = profiler.get()
        if here:
            context["trace_info"] = {
                "hmac_key": here.hmac_key,
                "base_id": here.get_base_id(),
                "parent_id": here.get_id(),
            }
        return context

    def deserialize_context(self, ctxt):
        trace_info = ctxt.pop("trace_info", None)
        if trace_info:
            profiler.init(**trace_info)
        return ctxt


def serializer():
    kind = options.get("serializer")
    if kind == "service":
        return ServiceSerializer()
    return messaging.TracingSerializer() if kind == "tracing" else None


class ServiceError(Exception):
    """No client knows it: there it is a RemoteError."""


class Endpoint:
    def __init__(self):
        self.go = threading.Event()
        self.casts = []

    def seen(self, ctxt):
        here = profiler.get()
        with profiler.Trace("endpoint"):
            return {"base": here.get_base_id() if here else None, "context": sorted(ctxt)}

    def note(self, ctxt, mark):
        self.casts.append({"mark": mark, **self.seen(ctxt)})

    def noted(self, ctxt):
        return self.casts

    def fail(self, ctxt):
        raise ServiceError("the endpoint's own")

    @oslo_messaging.expected_exceptions(KeyError)
    def expected(self, ctxt):
        raise KeyError("expected")

    def wait(self, ctxt):
        self.go.wait(60)

    def release(self, ctxt):
        self.go.set()

    def leave_open(self, ctxt):
        profiler.start("left open")
        return self.seen(ctxt)


def transport():
    cfg.CONF([], project="peer")
    return oslo_messaging.get_rpc_transport(cfg.CONF, url=options["url"])


def serve():
    target = oslo_messaging.Target(topic=options["topic"], server=options["server"])
    server = oslo_messaging.get_rpc_server(
        transport(), target, [Endpoint()], executor=options.get("executor", "threading"), serializer=serializer()
    )
    if options.get("instrument") == "objects":
        messaging.instrument_server(server)
    server.start(override_pool_size=options.get("workers", 4))
    print("ready", flush=True)
    os.set_blocking(0, False)
    stop = threading.Event()
    while not stop.wait(0.02):
        try:
            if not os.read(0, 1):
                break
        except BlockingIOError:
            continue
    server.stop()
    print(json.dumps(left_over(server._work_executor)) if messaging else "[]", flush=True)


def left_over(executor):
    """What each worker has as its current point when nothing of ours stands around the work."""
    isolation.uninstall()
    together = threading.Barrier(options.get("workers", 4), timeout=60)

    def look():
        together.wait()
        return current.point.get() is not None

    return [future.result() for future in [executor.submit(look) for _ in range(together.parties)]]


def call():
    target = oslo_messaging.Target(topic=options["topic"], version="1.0")
    client = oslo_messaging.get_rpc_client(transport(), target, serializer=serializer())
    if options.get("instrument") == "objects":
        messaging.instrument_client(client)
    print(json.dumps([outcome(client, **step) for step in options["steps"]]), flush=True)


def outcome(client, method, base=None, how="call", prepare=None, repeat=1, **arguments):
    """Make one step, in a trace if it has a *base*; what came back, or the name of what was raised."""
    profiler.clean()
    if base:
        profiler.init(options["keys"][0], base_id=base)
    context = client.prepare(**prepare) if prepare else client
    results = []
    for _ in range(repeat):
        try:
            results.append(getattr(context, how)({"user": "u"}, method, **arguments))
        except Exception as fault:
            results.append(type(fault).__name__)
    profiler.clean()
    return results if repeat > 1 else results[0]


if messaging:
    report_ours()
else:
    report_stock()
if options["role"] == "server":
    serve()
else:
    call()
os._exit(0)  # oslo.messaging's threads would keep a client waiting
