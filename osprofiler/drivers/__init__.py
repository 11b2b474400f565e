# SPDX-License-Identifier: Apache-2.0
"""Drivers: each stores and reads the records of one store. Import the module of the one you need.

None is imported before somebody looks for it: every driver brings a store's client with it, and a service uses one.
"""

from osprofiler._runtime import lazy

__getattr__ = lazy.modules(
    __name__,
    "base",
    "elasticsearch_driver",
    "jaeger",
    "loginsight",
    "messaging",
    "mongodb",
    "otlp",
    "redis_driver",
    "sqlalchemy_driver",
)
