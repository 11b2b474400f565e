# SPDX-License-Identifier: Apache-2.0
"""``daemon.py CONNECTION_STRING BASE_ID``: traces, delivers, becomes a daemon in the classic way, and traces again.

The daemon says "ready" when it is one, and goes on until its standard input ends.
"""

import os
import sys

from oslo_config import cfg

from osprofiler import initializer, opentracing_compat, opts, profiler

CONNECTION_STRING, BASE_ID = sys.argv[1:]


def trace(name: str) -> None:
    profiler.init("key", BASE_ID, BASE_ID)
    with profiler.Trace(name):
        pass
    profiler.clean()


opts.set_defaults(cfg.CONF, enabled=True, hmac_keys="key", connection_string=CONNECTION_STRING)
cfg.CONF([], project="daemon")
initializer.init_from_conf(cfg.CONF, None, "daemon", "d", "host")
if os.environ.get("TRACES_BEFORE"):
    trace("before")
    assert opentracing_compat.flush(30)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(3, 1024)
trace("daemon")
print("ready", flush=True)
sys.stdin.read()
trace("end")
