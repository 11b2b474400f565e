# SPDX-License-Identifier: Apache-2.0
"""nova's own scatter over cells, with its own thread pool, inside a trace: one cell answers, one fails, one does not
answer in time. ``nova_cells.py '<options as JSON>'``; prints what was gathered.
"""

import json
import os
import threading
import time

from nova_process import options

# isort: split
from nova import config, context, exception, objects, service

from osprofiler import opentracing_compat, profiler

config.parse_args(["nova"], default_config_files=[options["config"]], configure_db=False)
service.setup_profiler("nova-api", "here")
objects.register_all()

go = threading.Event()


def look(ctxt, thing):
    name = ctxt.cell_uuid
    with profiler.Trace("looked"):
        if name == "two":
            raise exception.InstanceNotFound(instance_id="the one")
        if name == "three":
            go.wait(60)
        return f"{thing} of {name}"


def cell(name):
    return objects.CellMapping(uuid=name, name=f"the {name}", transport_url="none:///", database_connection="sqlite://")


if options["base"]:
    profiler.init(options["key"], base_id=options["base"])
with profiler.Trace("request"):
    gathered = context.scatter_gather_cells(
        context.get_admin_context(), [cell(name) for name in ("one", "two", "three")], 2, look, "a thing"
    )
go.set()
profiler.clean()
print(json.dumps({name: repr(result) for name, result in gathered.items()}), flush=True)
# The cell that did not answer in time does so after all: the request, the join and two spans for each cell.
while opentracing_compat.flush(30) and options["base"] and opentracing_compat.counters().get("delivered", 0) < 8:
    time.sleep(0.01)
assert opentracing_compat.flush(30)
os._exit(0)
