# SPDX-License-Identifier: Apache-2.0
"""Drivers: each stores and reads the records of one store.

A driver is imported when it is first used: it loads the client of its store, and a service uses only one store.
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
