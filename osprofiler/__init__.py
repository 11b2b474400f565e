# SPDX-License-Identifier: Apache-2.0
"""OpenTracing-native osprofiler.

Services import this package while they start, so its modules are imported only when they are used. The version is
written here, and the packaging reads it. To read it from the installed metadata would cost each service milliseconds,
and would fail in a checkout that is not installed.
"""

from osprofiler._runtime import lazy

__version__ = "5.0.0"

# In osprofiler 4, an import of any of its modules loads these too: mistral calls ``osprofiler.notifier.set``, but
# imports only ``osprofiler.profiler`` and ``osprofiler.web``.
__getattr__ = lazy.modules(__name__, "drivers", "exc", "notifier", "profiler", "web")
