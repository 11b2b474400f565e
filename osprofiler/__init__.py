# SPDX-License-Identifier: Apache-2.0
"""OpenTracing-native osprofiler.

Services import this package on their start-up path, so it imports nothing. The version is written here, and the
packaging reads it from here: looking it up in the installed metadata would cost every service milliseconds and fail in
a checkout that is not installed.
"""

__version__ = "5.0.0"
