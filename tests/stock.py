# SPDX-License-Identifier: Apache-2.0
"""A virtual environment with the osprofiler that this one replaces, for the tests in which both must understand."""

from pathlib import Path

from tests import environments

_REQUIREMENTS = (
    "osprofiler[messaging,redis,sqlalchemy]==4.4.0",
    "PyMySQL>=1.1",
    "psycopg[binary]>=3.1",
    # The newest that its calls, and the servers of the tests, work with.
    "elasticsearch==7.13.4",
    "pymongo==4.6.3",
    # With these our drivers run there too, on those old clients, and the conformance kit on them.
    "opentracing>=2.4,<3",
    "pytest>=9.0",
)


def python() -> Path:
    """The interpreter of the environment. Raises NotMade."""
    return environments.python("stock", *_REQUIREMENTS)
