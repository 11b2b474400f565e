# SPDX-License-Identifier: Apache-2.0
"""The delivery after each request where greenthreads run only during one; uWSGI's module is a stand-in."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from osprofiler._runtime import native
from osprofiler.delivery import uwsgi


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("uwsgi")
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    monkeypatch.setattr(native, "patched", lambda: True)
    monkeypatch.setattr(uwsgi, "_installed", False)
    return module


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a flush says, and with which deadlines it was asked for."""
    state = SimpleNamespace(answers=True, asked=[], now=1000.0)

    def flush(timeout: float) -> bool:
        state.asked.append(timeout)
        return bool(state.answers)

    state.flush = flush
    monkeypatch.setattr(uwsgi.time, "monotonic", lambda: state.now)
    return state


def test_each_request_is_followed_by_a_delivery_with_a_deadline(server: Any, collector: Any) -> None:
    called = []
    server.after_req_hook = lambda: called.append("the service's own")
    uwsgi.install(collector.flush)
    uwsgi.install(collector.flush)
    server.after_req_hook()
    server.after_req_hook()
    assert called == ["the service's own"] * 2
    assert collector.asked == [uwsgi.MOMENT_S] * 2


def test_a_collector_that_does_not_answer_is_left_alone_for_a_while(server: Any, collector: Any) -> None:
    uwsgi.install(collector.flush)
    collector.answers = False
    server.after_req_hook()
    collector.now += uwsgi.PAUSE_S - 0.1
    server.after_req_hook()
    assert len(collector.asked) == 1
    collector.now += 0.2
    collector.answers = True
    for _ in range(2):
        server.after_req_hook()
    assert len(collector.asked) == 3


def test_nothing_is_done_where_threads_are_native(server: Any, collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "patched", lambda: False)
    uwsgi.install(collector.flush)
    assert not hasattr(server, "after_req_hook")


def test_nothing_is_done_where_uwsgi_runs_the_hub(server: Any, collector: Any) -> None:
    server.loop = b"gevent"  # None in other processes
    uwsgi.install(collector.flush)
    assert not hasattr(server, "after_req_hook")


def test_nothing_is_done_outside_of_uwsgi(collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "patched", lambda: True)
    monkeypatch.setattr(uwsgi, "_installed", False)
    uwsgi.install(collector.flush)
    assert uwsgi._installed is False
