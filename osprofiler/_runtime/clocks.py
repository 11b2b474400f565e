# SPDX-License-Identifier: Apache-2.0
"""The clocks of the machine, also while a test freezes those of the process.

Tools such as freezegun put other functions in the place of those of :mod:`time`, in each module that has them, for the
length of a block: a duration or a date that is taken half from one and half from the other is nonsense. The functions
here are those of a second instance of that module, which no such tool knows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

_spec = importlib.util.find_spec("time")
assert _spec is not None
assert _spec.loader is not None
_time = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_time)

#: Nanoseconds of a clock that never goes back, for durations; a time is told by :data:`wall_ns` alone.
tick_ns: Callable[[], int] = _time.perf_counter_ns
#: Nanoseconds since the epoch.
wall_ns: Callable[[], int] = _time.time_ns
