# SPDX-License-Identifier: Apache-2.0
"""Requests by novaclient's own client over one keystoneauth session: ``novaclient_requests.py '<options as JSON>'``.

It prints the status of each, or the name of what was raised.
"""

import json
import sys

from keystoneauth1 import session
from keystoneauth1.token_endpoint import Token
from novaclient import client

from osprofiler import notifier, opentracing_compat, profiler

options = json.loads(sys.argv[1])
notifier.set(notifier.create(options["store"], project="python", service="novaclient", host="here"))
profiler.init(options["key"], base_id=options["base"])
nova = client.Client("2.90", session=session.Session(auth=Token(f"{options['url']}/v2.1", "t")))


def request(path, method="GET", **more):
    try:
        response, _ = nova.client.request(path, method, **more)
        return response.history[0].status_code if response.history else response.status_code
    except Exception as fault:
        return type(fault).__name__


with profiler.Trace("command"):
    outcomes = [
        request(f"/servers/{options['server']}"),
        request("/servers/moved"),
        request("/servers/missing"),
        request("/os-hypervisors/statistics", status_code_retries=2, retriable_status_codes=[503]),
        request("/servers/gone"),
        request(f"/servers/{options['server']}/action", "POST", json={"reboot": None}),
    ]
print(json.dumps(outcomes))
assert opentracing_compat.flush(30)
