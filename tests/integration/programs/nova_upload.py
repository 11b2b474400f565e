# SPDX-License-Identifier: Apache-2.0
"""nova's upload of a snapshot to glance, which under eventlet a native thread does, inside a trace; the client of
glance is a stand-in. ``nova_upload.py '<options as JSON>'``; prints the ids that each request went out with.
"""

import json
import os

from nova_process import options

# isort: split
from nova import config, context, service
from nova.image import glance

from osprofiler import opentracing_compat, profiler, web

config.parse_args(["nova"], default_config_files=[options["config"]], configure_db=False)
service.setup_profiler("nova-compute", "here")
sent = {}


class Client:
    def call(self, ctxt, version, method, args=()):
        with profiler.Trace(method):
            sent[method] = web.get_trace_id_headers().get("uber-trace-id", "")


profiler.init(options["key"], base_id=options["base"])
with profiler.Trace("snapshot"):
    glance.GlanceImageServiceV2(client=Client())._upload_data(context.get_admin_context(), "image", b"data")
profiler.clean()
print(json.dumps(sent), flush=True)
assert opentracing_compat.flush(30)
os._exit(0)
