# SPDX-License-Identifier: Apache-2.0
"""A listener in a process of its own: ``notification_listener.py URL TOPIC LAYER``, with LAYER ``on`` or ``off``.

It prints ``ready``. For each notification it prints a line of JSON: the context that the endpoint got, and the message
as it was on the wire. After those that ``stop`` ends, it prints its spans.
"""

import json
import sys
import threading

import oslo_messaging
from oslo_config import cfg
from oslo_messaging.notify import dispatcher

from osprofiler import config, profiler
from osprofiler.instrumentation import registry
from osprofiler.testing import recording

url, topic, layer = sys.argv[1:]
config.publish(enabled=True, hmac_keys=("the secret key",))
cfg.CONF([], project="tests", default_config_files=[])
stopped = threading.Event()
wire = []

extract = dispatcher.NotificationDispatcher.dispatch


def dispatch(self, incoming):
    wire.append(repr((incoming.ctxt, incoming.message)))
    return extract(self, incoming)


dispatcher.NotificationDispatcher.dispatch = dispatch  # below the layer, which sees the message first


class Endpoint:
    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        with profiler.Trace("handled"):
            print(json.dumps({"context": ctxt, "traced": profiler.get() is not None}), flush=True)
        if event_type == "stop":
            stopped.set()
        if event_type == "fail":
            raise LookupError("nobody")


if layer == "on":
    registry.instrument("notifications")
with recording(trace=False) as spans:
    transport = oslo_messaging.get_notification_transport(cfg.CONF, url=url)
    targets = [oslo_messaging.Target(topic=topic)]
    listener = oslo_messaging.get_notification_listener(transport, targets, [Endpoint()], executor="threading")
    listener.start(override_pool_size=1)
    print("ready", flush=True)
    stopped.wait(120)
    listener.stop()
    listener.wait()
shown = [
    {
        "operation": span.operation,
        "base_id": span.base_id,
        "parent_id": span.parent_id,
        "point_id": span.point_id,
        "kind": span.tags.get("span.kind"),
        "references": [reference.kind for reference in span.references],
        "error": span.error,
        "user": span.tags.get("openstack.user_id"),
        "info": span.info,
    }
    for span in spans
]
print(json.dumps({"spans": shown, "wire": wire}), flush=True)
