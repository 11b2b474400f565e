# SPDX-License-Identifier: Apache-2.0
"""futurist's executors (threads, greenthreads, processes, synchronous): submitted work becomes a branch.

It is a ChildOf branch: the submitter waits for the future. Periodic workers are not followed: each of their calls is a
unit of work of its own (``isolation``).
"""

from __future__ import annotations

from osprofiler._runtime.wrapping import Target, Wrapping
from osprofiler.concurrency.branch_callable import argument_as_branch

MODEL = "futurist"


# All executors submit through a gatherer of statistics, so this one method covers all of them.
_wrapping = Wrapping(
    Target("futurist._futures", "_Gatherer", "submit", argument_as_branch(MODEL, 1, "fn", applied=True)),
    Target(
        *("futurist._futures", "DelayedExecutorMixinBase", "submit_after"),
        argument_as_branch(MODEL, 2, "fn", applied=True),
    ),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
