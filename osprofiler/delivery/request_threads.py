# SPDX-License-Identifier: Apache-2.0
"""Delivery where native threads serve the requests of a process that eventlet has patched (mod_wsgi, uWSGI's threads).

The main thread, whose greenthread the reporter would be, waits in C there and may never run. So the thread that has
served a request delivers itself, on its own hub, as it does all its other work. Not with gevent, whose connections are
of use to the thread alone that has made them.
"""

from __future__ import annotations

from osprofiler._runtime import guard, native
from osprofiler.delivery import reporter
from osprofiler.delivery.uwsgi import Moments


def after_request() -> None:
    """Deliver what waits, for a moment; to be called in a native thread (``native.is_extra_native_thread()``) alone."""
    with guard.Harmless("beside"):
        library = native.greenthread_library()
        if library is not None and library.threads_deliver:
            _moments.take()


def _deliver(timeout_s: float) -> bool:
    return all(each.deliver_here(timeout_s) for each in reporter.living())


_moments = Moments(_deliver)
