# SPDX-License-Identifier: Apache-2.0
"""One side of the RPC of an unpatched service: ``nova_rpc_layers.py '<options as JSON>'``, options["project"] says
whose: nova's, cinder's or neutron's own serializer, ``get_client`` and ``get_server``, on native threads.

A server prints ``ready`` and serves until its standard input ends. A client runs ``steps`` and prints their outcomes.
"""

import importlib
import json
import os
import sys
import threading
import warnings

warnings.simplefilter("ignore")
options = json.loads(sys.argv[1])
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = os.environ["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "true"

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402

from osprofiler import profiler  # noqa: E402


class Nova:
    def start(self):
        from nova import config, service

        config.parse_args(["nova"], default_config_files=[options["config"]], configure_db=False)
        service.setup_profiler(options["binary"], "here")

    rpc = "nova.rpc"
    context = "nova.context"

    def spawn(self, work):
        from nova import thread_pool_factory

        return thread_pool_factory.spawn(work).result()


class Cinder:
    rpc = "cinder.rpc"
    context = "cinder.context"

    def start(self):
        from cinder import rpc, service

        cfg.CONF([], project="cinder", default_config_files=[options["config"]])
        rpc.init(cfg.CONF)
        service.setup_profiler(options["binary"], "here")

    def spawn(self, work):
        return work()


class Neutron:
    rpc = "neutron_lib.rpc"
    context = "neutron_lib.context"

    def start(self):
        from neutron.common import config, profiler

        config.register_common_config_options()
        config.init([], default_config_files=[options["config"]])
        profiler.setup(options["binary"], "here")

    def spawn(self, work):
        return work()


project = {"nova": Nova, "cinder": Cinder, "neutron": Neutron}[options["project"]]()


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def work(self, ctxt):
        """Who the service takes this message for, which worker has it, and what work it has done elsewhere."""

        def step():
            with profiler.Trace("spawned"):
                here = profiler.get()
                return here.get_base_id() if here else None

        here = profiler.get()
        with profiler.Trace("endpoint"):
            return [here.get_base_id() if here else None, project.spawn(step), threading.get_ident()]


def serve(rpc):
    target = oslo_messaging.Target(topic=options["topic"], version="1.0", server="server")
    server = rpc.get_server(target, [Endpoint()])
    server.start(override_pool_size=2)
    print("ready", flush=True)
    sys.stdin.read()
    server.stop()


def call(rpc):
    context = importlib.import_module(project.context)
    client = rpc.get_client(oslo_messaging.Target(topic=options["topic"], version="1.0"))
    outcomes = []
    for base in options["steps"]:
        profiler.clean()
        if base:
            profiler.init(options["key"], base_id=base)
        outcomes.append(client.prepare().call(context.get_admin_context(), "work"))
    profiler.clean()
    print(json.dumps(outcomes), flush=True)


project.start()
layer = importlib.import_module(project.rpc)
(serve if options["role"] == "server" else call)(layer)
from osprofiler import opentracing_compat  # noqa: E402

opentracing_compat.flush(30)
os._exit(0)  # oslo.messaging's threads would keep a client waiting
