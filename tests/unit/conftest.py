# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the facade and the core. They start no trace; a module that needs one overrides them."""

from collections.abc import Iterator

import pytest

from osprofiler import profiler
from tests.unit.core_kit import Caught, SpanKeeper, caught_records, kept_spans


@pytest.fixture
def records() -> Iterator[Caught]:
    """The records of a test, as a notifier gets them."""
    with caught_records() as records:
        yield records
        profiler.clean()


@pytest.fixture
def spans() -> Iterator[SpanKeeper]:
    """The spans that a test starts and finishes; it may leave some open."""
    with kept_spans() as keeper:
        yield keeper
        profiler.clean()
