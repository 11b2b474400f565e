# SPDX-License-Identifier: Apache-2.0
"""The real clocks, also while a test freezes the time of the process.

Tools such as freezegun replace the functions of :mod:`time` in every module for the length of a block. A duration with
one reading before and one inside the block would be wrong. The functions here belong to a second instance of the
module ``time``, which these tools do not know.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

_spec = importlib.util.find_spec("time")
assert _spec is not None
assert _spec.loader is not None
_time = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_time)

#: Nanoseconds of a clock that never goes back; for durations only.
tick_ns: Callable[[], int] = _time.perf_counter_ns
#: Nanoseconds since the epoch; for points in time.
wall_ns: Callable[[], int] = _time.time_ns
