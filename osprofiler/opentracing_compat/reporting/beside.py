# SPDX-License-Identifier: Apache-2.0
"""Delivery where native threads serve the requests of a process that eventlet has patched (mod_wsgi, uWSGI's threads).

The main thread, whose greenthread the reporter would be, waits in C there and may never run. So the thread that has
served a request delivers itself, on its own hub, as it does all its other work.
"""

from __future__ import annotations

import time

from osprofiler import _guard, _native
from osprofiler.opentracing_compat.reporting import reporter
from osprofiler.opentracing_compat.reporting.uwsgi import MOMENT_S, PAUSE_S

_not_before = 0.0


def after_request() -> None:
    """Deliver what waits, for a moment, if nobody else in this process can."""
    global _not_before
    if not _native.foreign():
        return
    with _guard.Harmless("beside"):
        now = time.monotonic()
        if now >= _not_before and not all(each.deliver_here(MOMENT_S) for each in reporter.living()):
            _not_before = now + PAUSE_S
