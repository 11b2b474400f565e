# SPDX-License-Identifier: Apache-2.0
"""futurist's executors (threads, greenthreads, processes, synchronous): submitted work becomes a branch.

It is a ChildOf branch: the submitter waits for the future. Periodic workers are not followed: each of their calls is a
unit of work of its own (``isolation``).
"""

from __future__ import annotations

from typing import Any

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch_callable import wrap_call_as_branch
from osprofiler.context import current

MODEL = "futurist"


def _submit(submit: Method) -> Method:
    def run(self: Any, /, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is not None:
            fn, args = wrap_call_as_branch(MODEL, fn, args)
        return submit(self, fn, *args, **kwargs)

    return run


def _submit_after(submit_after: Method) -> Method:
    def run(self: Any, /, delay: float, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is not None:
            fn, args = wrap_call_as_branch(MODEL, fn, args)
        return submit_after(self, delay, fn, *args, **kwargs)

    return run


# All executors submit through a gatherer of statistics, so this one method covers all of them.
_wrapping = Wrapping(
    Target("futurist._futures", "_Gatherer", "submit", _submit),
    Target("futurist._futures", "DelayedExecutorMixinBase", "submit_after", _submit_after),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
