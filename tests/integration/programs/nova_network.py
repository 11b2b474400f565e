# SPDX-License-Identifier: Apache-2.0
"""nova's allocation of a network, as a build does it: asked for by a step that does not wait, and waited for by the
driver, after the request's own span has ended. ``nova_network.py '<options as JSON>'``; *fails*: so does neutron.
"""

import os
import threading

from nova_process import options

# isort: split
from nova import config, service
from nova.network import model

from osprofiler import nova, opentracing_compat, profiler

config.parse_args(["nova"], default_config_files=[options["config"]], configure_db=False)
service.setup_profiler("nova-compute", "here")
given, built = threading.Event(), threading.Event()


def allocate():
    given.wait()
    with profiler.Trace("POST /ports"):
        if options.get("fails"):
            raise ValueError("no more addresses")
    return [model.VIF(id="a port")]


def build():
    with profiler.Trace("_allocate_network"):
        network = model.NetworkInfoAsyncWrapper(allocate)
    with profiler.Trace("spawn"):
        given.set()
        try:
            assert [vif["id"] for vif in network] == ["a port"]
        except ValueError:
            assert options["fails"]
        network.wait()  # again, for nothing
    built.set()


profiler.init(options["key"], base_id=options["base"])
with profiler.Trace("rpc"):
    work = nova.handed_over(build)
profiler.clean()
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert built.is_set()
network = model.NetworkInfoAsyncWrapper(list)  # with no trace
network.wait()
print("{}", flush=True)
assert opentracing_compat.flush(30)
os._exit(0)
