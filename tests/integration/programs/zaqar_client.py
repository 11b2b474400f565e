"""python-zaqarclient in a trace of its own: ``zaqar_client.py ADDRESS KEY STORE``; prints the trace's id."""

import sys

from zaqarclient.queues import client

from osprofiler import opentracing_compat, profiler

address, key, store = sys.argv[1:]
opentracing_compat.instrument("requests")

with profiler.client_trace(key, store, name="zaqar client", quiet=True) as base_id:
    options = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "p"}}}
    queue = client.Client(address, version=2, conf=options).queue("one", auto_create=False)
    queue.post([{"body": "hello", "ttl": 300}])
    for message in queue.claim(ttl=300, grace=300, limit=1):
        message.delete()
print(base_id)
