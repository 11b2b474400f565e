# SPDX-License-Identifier: Apache-2.0
"""The trace in the environment of programs that a process patched by eventlet or gevent starts."""

import subprocess
import sys

import pytest

_PROGRAM = """
import subprocess
from oslo_concurrency import processutils
from osprofiler import opentracing_compat, profiler
opentracing_compat.instrument("oslo_concurrency")
profiler.init("k")
with profiler.Trace("request"):
    print("TRACEPARENT=" in processutils.execute("env")[0])
    print(b"TRACEPARENT=" in subprocess.check_output(["env"]))
    print(b"TRACEPARENT=" in subprocess.run(["env"], stdout=subprocess.PIPE).stdout)
opentracing_compat.uninstrument()
with profiler.Trace("request"):
    print(b"TRACEPARENT=" in subprocess.run(["env"], stdout=subprocess.PIPE).stdout)
"""


@pytest.mark.parametrize(
    "patch", ["import eventlet; eventlet.monkey_patch()", "from gevent import monkey; monkey.patch_all()"]
)
def test_programs_get_the_trace_also_from_a_patched_process(patch: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", patch + _PROGRAM]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["True"] * 3 + ["False"]
