# SPDX-License-Identifier: Apache-2.0
"""Delivery by the threads that serve requests, in a process that eventlet has patched (mod_wsgi, uWSGI's threads).

There the reporter would be a greenthread of the main thread, which waits in C and may never run. So a thread that has
served a request delivers too, on its own hub. With gevent it does not: there only the thread that opened a connection
can use it.
"""

from __future__ import annotations

from osprofiler._runtime import guard, native
from osprofiler.delivery import registry
from osprofiler.delivery.uwsgi import ShortDeliveries


def after_request() -> None:
    """Deliver for a short time. Call it only in native threads (``native.is_extra_native_thread()``)."""
    with guard.Harmless("request_thread"):
        library = native.greenthread_library()
        if library is not None and library.threads_deliver:
            _deliveries.run()


def _deliver(timeout_s: float) -> bool:
    return all(reporter.deliver_here(timeout_s) for reporter in registry.living())


_deliveries = ShortDeliveries(_deliver)
