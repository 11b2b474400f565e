# SPDX-License-Identifier: Apache-2.0
"""One side of nova's RPC in a process of its own, with a released nova, patched or not: ``nova_peer.py '<JSON>'``.

Everything is nova's own: its configuration, ``nova.rpc``, serializer of versioned objects, request context and thread
pools. Which nova and which osprofiler that is, ``PYTHONPATH`` says. A server prints ``ready``, serves until its
standard input ends, and prints what its workers have left over; a client runs ``steps`` and prints their outcomes.
"""

import json
import os
import sys
import threading

from nova_process import options

if options.get("without_osprofiler"):
    sys.modules["osprofiler"] = None

green = sys.modules.get("eventlet.patcher")
assert (green is not None and green.is_monkey_patched("thread")) == (options["mode"] == "eventlet")

import oslo_messaging  # noqa: E402
from nova import config, context, exception, rpc, service  # noqa: E402
from nova import context as nova_context  # noqa: E402
from nova.objects import base  # noqa: E402
from nova.objects import keypair as keypair_obj  # noqa: E402

try:
    from nova.thread_pool_factory import spawn
except ImportError:
    from nova.utils import spawn

if options.get("without_osprofiler"):
    profiler = None
else:
    from osprofiler import profiler


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def __init__(self):
        self.go = threading.Event()
        self.casts = []

    def echo(self, ctxt, thing):
        """What arrived: a versioned object and a request context; work of it is done in nova's pool."""
        assert isinstance(ctxt, context.RequestContext), ctxt
        assert isinstance(thing, keypair_obj.KeyPair), thing

        def step():
            if profiler is not None:
                with profiler.Trace("step"):
                    return thing.name
            return thing.name

        done = spawn(step)
        result = done.result() if hasattr(done, "result") else done.wait()
        assert result == thing.name
        return thing

    def note(self, ctxt, mark):
        here = profiler.get() if profiler is not None else None
        self.casts.append([mark, here.get_base_id() if here else None])

    def noted(self, ctxt):
        return self.casts

    def fail(self, ctxt):
        raise exception.InstanceNotFound(instance_id="the one")

    def wait(self, ctxt):
        self.go.wait(60)

    def release(self, ctxt):
        self.go.set()


def start():
    config.parse_args(["nova"], default_config_files=[options["config"]], configure_db=False)
    service.setup_profiler(options["binary"], "here")


def target(**more):
    return oslo_messaging.Target(topic=options["topic"], version="1.0", **more)


def serve():
    server = rpc.get_server(target(server=options["server"]), [Endpoint()], serializer=base.NovaObjectSerializer())
    counts = Calls()
    counts.__enter__()
    server.start()
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
    counts.__exit__()
    print(json.dumps({"left_over": left_over(server._work_executor), "calls": counts.found}), flush=True)


def left_over(executor):
    """What each of some workers has as its current point when nothing of ours stands around the work."""
    try:
        from osprofiler.concurrency import isolation
        from osprofiler.context import current
    except ImportError:
        return []
    isolation.uninstall()
    together = threading.Barrier(8, timeout=60)

    def look():
        together.wait()
        return current.point.get() is not None

    return [future.result() for future in [executor.submit(look) for _ in range(together.parties)]]


def call():
    client = rpc.get_client(target(), serializer=base.NovaObjectSerializer())
    counts = Calls()
    with counts:
        outcomes = [outcome(client, **step) for step in options["steps"]]
    print(json.dumps({"outcomes": outcomes, "calls": counts.found}), flush=True)


def outcome(client, method, base=None, how="call", prepare=None, repeat=1, thing=None, **arguments):
    """Make one step, in a trace if it has a *base*; what came back, or the name of what was raised."""
    if profiler is not None:
        profiler.clean()
        if base:
            profiler.init(options["key"], base_id=base)
    if thing is not None:
        arguments["thing"] = keypair_obj.KeyPair(name=thing, user_id="u")
    results = []
    for _ in range(repeat):
        ctxt = nova_context.RequestContext("u", "p", is_admin=True)
        try:
            found = getattr(client.prepare(**(prepare or {})), how)(ctxt, method, **arguments)
            results.append(found.name if isinstance(found, keypair_obj.KeyPair) else found)
        except Exception as fault:
            results.append(type(fault).__name__)
    if profiler is not None:
        profiler.clean()
    return results if repeat > 1 else results[0]


class Calls:
    """The calls of osprofiler's functions while the block runs, if ``count_calls`` says which folder they are in."""

    def __init__(self):
        self.found = []

    def __enter__(self):
        if options.get("count_calls"):
            sys.setprofile(self._note)
            threading.setprofile(self._note)

    def _note(self, frame, event, arg):
        if event == "call" and frame.f_code.co_filename.startswith(options["count_calls"]):
            caller = frame.f_back.f_code.co_filename
            # What this program itself calls does not count, nor what that calls.
            if not caller.startswith(options["count_calls"]) and caller != __file__:
                self.found.append(f"{caller} calls {frame.f_code.co_name}")

    def __exit__(self, *fault):
        sys.setprofile(None)
        threading.setprofile(None)


start()
if options["role"] == "server":
    serve()
else:
    call()
if profiler is not None:
    try:
        from osprofiler import opentracing_compat

        opentracing_compat.flush(30)
    except ImportError:
        pass
os._exit(0)  # oslo.messaging's threads would keep a client waiting
