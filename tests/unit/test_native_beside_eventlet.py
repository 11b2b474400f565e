# SPDX-License-Identifier: Apache-2.0
"""Native threads beside eventlet's hub: those of mod_wsgi, of uWSGI with threads, of eventlet's own pool."""

import subprocess
import sys

_BEGIN = """
import eventlet; eventlet.monkey_patch()
from eventlet.patcher import original
import os, sys
pause, start = original("time").sleep, original("_thread").start_new_thread
from osprofiler import _guard, _utils, notifier, profiler, web
"""


def _run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", _BEGIN + program, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False).stdout


def test_first_traces_in_several_native_threads_do_not_wait_for_ever() -> None:
    program = """
done = []
def request():
    profiler.init("k")
    with profiler.Trace("x"):
        done.append(1)
for _ in range(3):
    start(request, ())
for _ in range(100):
    pause(0.05)
    if len(done) == 3:
        break
print(len(done), flush=True)
os._exit(0)
"""
    assert _run(program) == "3\n"


def test_requests_served_by_native_threads_are_delivered_while_the_main_thread_is_in_c(tmp_path: object) -> None:
    program = """
made = notifier.create(sys.argv[1], project="p", service="s")
notifier.set(made)
def application(environ, start_response):
    eventlet.sleep(0.01)
    start_response("200 OK", [])
    return [b""]
traced = web.WsgiMiddleware(application, hmac_keys="k", enabled=True)
packed, signature = _utils.signed_pack({"base_id": "11111111-1111-1111-1111-111111111111"}, "k")
environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "PATH_INFO": "/", "SERVER_NAME": "s",
           "SERVER_PORT": "1", "HTTP_X_TRACE_INFO": packed.decode(), "HTTP_X_TRACE_HMAC": signature}
served = []
def thread():
    for _ in range(5):
        served.append(list(traced(dict(environ), lambda *a: None)))
for _ in range(2):
    start(thread, ())
for _ in range(100):
    pause(0.05)
    if _guard.counters["delivered"] == 20:
        break
print(len(served), _guard.counters["delivered"], made.reporter.pending(), flush=True)
os._exit(0)
"""
    assert _run(program, f"sqlite:///{tmp_path}/traces.db") == "10 20 0\n"


def test_a_fault_in_a_native_thread_is_counted_and_not_logged_for_debugging_either() -> None:
    program = """
import logging
logged = []
class Handler(logging.Handler):
    def emit(self, record):
        logged.append(record)
logging.basicConfig(level=logging.DEBUG, handlers=[Handler()])
start(lambda: _guard.swallow("x", ValueError()), ())
pause(0.5)
print(_guard.counters["fault.x"], len(logged), flush=True)
os._exit(0)
"""
    assert _run(program) == "1 0\n"
