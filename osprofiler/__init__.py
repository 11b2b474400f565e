# SPDX-License-Identifier: Apache-2.0
"""OpenTracing-native osprofiler.

Services import this package on their start-up path, so it imports nothing but what does so for it later. The version is
written here, and the packaging reads it from here: looking it up in the installed metadata would cost every service
milliseconds and fail in a checkout that is not installed.
"""

from osprofiler._runtime import lazy

__version__ = "5.0.0"

# Osprofiler 4 had these loaded after an import of any module of it: mistral calls ``osprofiler.notifier.set`` having
# imported ``osprofiler.profiler`` and ``osprofiler.web``.
__getattr__ = lazy.modules(__name__, "drivers", "exc", "notifier", "profiler", "web")
