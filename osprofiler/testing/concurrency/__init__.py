# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for execution models: the ways to run work in another flow of control.

An adapter (a subclass of :class:`Model`) runs work in a model. The guarantees are the same for all models::

    class MyPool(Model):
        title = "MyPool.submit"
        instrumentation = ("mypool",)

        def run(self, works):
            ...

    @pytest.mark.parametrize("guarantee", GUARANTEES)
    def test_my_pool(guarantee):
        outcome = check_in_own_process("my_tests.models:MyPool")[guarantee]
        assert outcome in ("ok", "not applicable"), outcome

Each run has its own process: it turns instrumentation on and off, and some models patch the interpreter.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback

from osprofiler import profiler
from osprofiler.concurrency import isolation
from osprofiler.instrumentation import registry
from osprofiler.testing.concurrency import spans
from osprofiler.testing.concurrency.guarantees import GUARANTEES
from osprofiler.testing.concurrency.model import Model, NotApplicable, Work

__all__ = ["GUARANTEES", "Model", "NotApplicable", "Work", "check", "check_in_own_process", "main", "model_class"]

_PATCH = {
    "": "",
    "eventlet": "import eventlet; eventlet.monkey_patch()\n",
    "gevent": "from gevent import monkey; monkey.patch_all()\n",
}

#: The time after which a model's run counts as hung, in seconds.
RUN_TIMEOUT_S = 300


def check(model: Model) -> dict[str, str]:
    """Check *model* in this process. Returns the outcome per guarantee: ``ok``, ``not applicable``, or the fault."""
    isolation.install()
    outcomes = {}
    for name, guarantee in GUARANTEES.items():
        with tempfile.NamedTemporaryFile(prefix="osprofiler-kit-") as file:
            os.environ.update({spans.VARIABLE: file.name, spans.CHECKER: str(os.getpid())})
            spans.record()
            try:
                guarantee(model)
                outcomes[name] = "ok"
            except NotApplicable:
                outcomes[name] = "not applicable"
            except Exception:
                outcomes[name] = traceback.format_exc()
            finally:
                profiler.clean()
                registry.uninstrument()
                model.close()
    return outcomes


def check_in_own_process(path: str, *others: str) -> dict[str, str]:
    """:func:`check` the model class at *path* (``module:Class``) in a new interpreter.

    *others*: more names to instrument, in addition to those of the model. Raises RuntimeError, with the output of the
    interpreter, if it hangs or fails.
    """
    patch = _PATCH[model_class(path).patched]
    command = [sys.executable, "-c", f"{patch}from {__name__} import main; main({path!r}, *{others!r})"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as hung:
        raise RuntimeError(f"{path} hangs: {hung.stderr!r}") from hung
    if done.returncode:
        raise RuntimeError(f"{path} ended with status {done.returncode}: {done.stderr}")
    outcomes: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return outcomes


def model_class(path: str) -> type[Model]:
    """The model class at *path*, ``module:Class``."""
    module, _, name = path.partition(":")
    cls: type[Model] = getattr(importlib.import_module(module), name)
    return cls


def main(path: str, *others: str) -> None:
    """Check one model, and print the outcomes as JSON."""
    cls = model_class(path)
    if others:
        cls.instrumentation = (*cls.instrumentation, *others)
    print(json.dumps(check(cls())))  # noqa: T201
