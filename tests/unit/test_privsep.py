# SPDX-License-Identifier: Apache-2.0
"""oslo.privsep: what the span of a call of a real daemon shows. The kit has the rest."""

import os
from collections.abc import Iterator

import pytest

from osprofiler import profiler
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import Recording, recording
from tests.unit import privsep_kit
from tests.unit.core_kit import a_clean_process


@pytest.fixture(scope="module", autouse=True)
def _daemon() -> Iterator[None]:
    with privsep_kit.running():
        yield


@pytest.fixture
def spans() -> Iterator[Recording]:
    with a_clean_process():
        registry.instrument("oslo_privsep")
        with recording() as spans:
            yield spans
            assert spans.unfinished() == []
        registry.uninstrument()


def test_a_call_of_the_daemon_is_a_client_span(spans: Recording) -> None:
    with profiler.Trace("request"):
        assert privsep_kit.process_id() != os.getpid()
    call = spans.one("privsep")
    assert call.operation == "privsep tests.unit.privsep_kit.process_id"
    assert spans.tree() == [("request", None), ("privsep", "request")]
    assert (call.tags["span.kind"], call.tags["component"]) == ("client", "oslo.privsep")


def test_the_daemon_s_error_is_that_of_the_span_and_arguments_are_not_shown(spans: Recording) -> None:
    with pytest.raises(ValueError, match="refused: 8"):
        privsep_kit.refuse("s3cret-1")
    (call,) = spans
    assert call.error == "ValueError"
    assert "s3cret-1" not in str(call)
