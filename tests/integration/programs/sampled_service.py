# SPDX-License-Identifier: Apache-2.0
"""``sampled_service.py STORE SAMPLER NAME``: a service that answers requests to itself.

Each line of its input is ``COUNT PATH``: so many requests for the path, one after the other. ``/fail`` is answered with
500, ``/slow`` after a moment. After each line it delivers what it has traced, and prints the number of traced requests.
"""

import sys
import time
from wsgiref.util import setup_testing_defaults

from oslo_config import cfg

from osprofiler import initializer, opentracing_compat, opts, profiler, web

store, sampler, name = sys.argv[1:]
traced = 0


def application(environ, start_response):  # type: ignore[no-untyped-def]
    global traced
    traced += profiler.get() is not None
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(0.3)
    start_response("500 Internal Server Error" if path == "/fail" else "200 OK", [])
    return [b""]


conf = cfg.ConfigOpts()
opts.register(conf)
conf([], default_config_files=[])
for option, value in {"enabled": True, "connection_string": store, "sampler": sampler, "hmac_keys": "k" * 16}.items():
    conf.set_override(option, value, "profiler")
initializer.init_from_conf(conf, None, "nova", name, "host")
service = web.WsgiMiddleware(application, hmac_keys="k" * 16, enabled=True)
for line in sys.stdin:
    count, path = line.split()
    for _ in range(int(count)):
        environ = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        list(service(environ, lambda *_: None))
    opentracing_compat.flush(30)
    print(traced, flush=True)
