# SPDX-License-Identifier: Apache-2.0
"""``concurrent.futures``: work for a pool of threads or processes, and done-callbacks, become branches.

Submitted work is a ChildOf branch: the submitter waits for the future. A done-callback is a FollowsFrom branch: nobody
waits for it.

Pickled work takes its branch along into the other process. If the pool does not fork its processes, each of them must
turn tracing on, in the pool's ``initializer``.
"""

from __future__ import annotations

from typing import Any

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch_callable import argument_as_branch, wrap_call_as_branch
from osprofiler.context import current, scope

MODEL = "futures"


def _submit_to_process(submit: Method) -> Method:
    def run(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is None:
            return submit(self, fn, *args, **kwargs)
        fn, args = wrap_call_as_branch(MODEL, fn, args)
        with scope.entered(None):  # submit may fork a worker, and the worker outlives the request
            return submit(self, fn, *args, **kwargs)

    return run


_submit = argument_as_branch(MODEL, 1, "fn", applied=True)
_map = argument_as_branch(MODEL, 1, "fn", many=True)  # the pool pickles fn once a chunk and calls it for each item
_add_done_callback = argument_as_branch(MODEL, 1, "fn", detached=True)

_wrapping = Wrapping(
    Target("concurrent.futures.thread", "ThreadPoolExecutor", "submit", _submit),
    Target("concurrent.futures.process", "ProcessPoolExecutor", "submit", _submit_to_process),
    Target("concurrent.futures.process", "ProcessPoolExecutor", "map", _map),
    Target("concurrent.futures._base", "Future", "add_done_callback", _add_done_callback),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
