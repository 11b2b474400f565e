# SPDX-License-Identifier: Apache-2.0
"""oslo.privsep: a span for each function that a real daemon runs, its error, and nothing where nobody is traced."""

import os
from collections.abc import Iterator

import pytest
from oslo_config import cfg
from oslo_privsep import priv_context

from osprofiler import profiler
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import Recording, recording
from tests.unit.core_kit import a_clean_process

DAEMON = priv_context.PrivContext("tests", cfg_section="privsep_of_this_test", capabilities=[])


@DAEMON.entrypoint
def process_id() -> int:
    return os.getpid()


@DAEMON.entrypoint
def refuse(secret: str) -> None:
    raise ValueError(f"refused: {len(secret)}")


@pytest.fixture(scope="module", autouse=True)
def _daemon() -> Iterator[None]:
    cfg.CONF([], default_config_files=[])
    DAEMON.start(priv_context.Method.FORK)
    yield
    DAEMON.stop()
    cfg.CONF.reset()


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
        assert process_id() != os.getpid()
    call = spans.one("privsep")
    assert call.operation == "privsep tests.unit.test_privsep.process_id"
    assert spans.tree() == [("request", None), ("privsep", "request")]
    assert (call.tags["span.kind"], call.tags["component"]) == ("client", "oslo.privsep")


def test_the_daemon_s_error_is_that_of_the_span_and_arguments_are_not_shown(spans: Recording) -> None:
    with pytest.raises(ValueError, match="refused: 8"):
        refuse("s3cret-1")
    (call,) = spans
    assert call.error == "ValueError"
    assert "s3cret-1" not in str(call)


def test_without_a_trace_there_is_no_span() -> None:
    with a_clean_process(), recording(trace=False) as spans:
        registry.instrument("oslo_privsep")
        assert process_id() != os.getpid()
        registry.uninstrument()
        assert not list(spans)


def test_a_layer_that_is_off_leaves_the_library_as_it_is() -> None:
    from oslo_privsep import daemon

    original = daemon._ClientChannel.remote_call
    registry.instrument("oslo_privsep")
    assert daemon._ClientChannel.remote_call is not original
    registry.uninstrument("oslo_privsep")
    assert daemon._ClientChannel.remote_call is original
