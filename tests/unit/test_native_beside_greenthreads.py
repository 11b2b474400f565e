# SPDX-License-Identifier: Apache-2.0
"""Native threads beside the hub of greenthreads: those of mod_wsgi, of uWSGI with threads, of the library's pool."""

import subprocess
import sys

import pytest

_BEGIN = {
    "eventlet": """
import eventlet; eventlet.monkey_patch()
from eventlet import sleep
from eventlet.patcher import original
pause, start = original("time").sleep, original("_thread").start_new_thread
""",
    "gevent": """
from gevent import monkey, sleep; monkey.patch_all()
sleep(0)  # the main thread's hub has to come first: gevent's import lock makes one in each thread that waits for it
pause, start = monkey.get_original("time", "sleep"), monkey.get_original("_thread", "start_new_thread")
""",
}
_IMPORTS = """
import os, sys
from osprofiler._runtime import guard
from osprofiler import _utils, notifier, profiler, web
"""


def _run(library: str, program: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", _BEGIN[library] + _IMPORTS + program, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False).stdout


@pytest.mark.parametrize("library", _BEGIN)
def test_first_traces_in_several_native_threads_do_not_wait_for_ever(library: str) -> None:
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
    assert _run(library, program) == "3\n"


_SERVE = """
from osprofiler.delivery import uwsgi
uwsgi.MOMENT_S = 30  # however slow this machine is
made = notifier.create(sys.argv[1], project="p", service="s")
notifier.set(made)
def application(environ, start_response):
    sleep(0.01)
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
"""


def test_requests_served_by_native_threads_are_delivered_while_the_main_thread_is_in_c(tmp_path: object) -> None:
    program = """
for _ in range(100):
    pause(0.05)
    if guard.counters["delivered"] == 10:
        break
print(len(served), guard.counters["delivered"], made.reporter.pending(), flush=True)
os._exit(0)
"""
    assert _run("eventlet", _SERVE + program, f"sqlite:///{tmp_path}/traces.db") == "10 10 0\n"


def test_with_gevent_they_are_delivered_once_something_is_traced_in_the_main_thread(tmp_path: object) -> None:
    """A connection of gevent's is of use to one thread alone."""
    program = """
while len(served) < 10:
    pause(0.01)
print(guard.counters["delivered"], made.reporter.pending())
profiler.init("k")
with profiler.Trace("x"):
    pass
made.reporter.flush(30)
print(guard.counters["delivered"], made.reporter.pending(), flush=True)
os._exit(0)
"""
    assert _run("gevent", _SERVE + program, f"sqlite:///{tmp_path}/traces.db") == "0 20\n11 0\n"


@pytest.mark.parametrize("library", _BEGIN)
def test_a_fault_in_a_native_thread_is_counted_and_not_logged_for_debugging_either(library: str) -> None:
    program = """
import logging
logged = []
class Handler(logging.Handler):
    def emit(self, record):
        logged.append(record)
logging.basicConfig(level=logging.DEBUG, handlers=[Handler()])
start(lambda: guard.swallow("x", ValueError()), ())
pause(0.5)
print(guard.counters["fault.x"], len(logged), flush=True)
os._exit(0)
"""
    assert _run(library, program) == "1 0\n"
