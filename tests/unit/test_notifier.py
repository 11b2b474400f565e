# SPDX-License-Identifier: Apache-2.0
"""The notifier: any callable, called at once and guarded; and one notifier per store and service."""

import weakref
from pathlib import Path
from typing import Any

import pytest

from osprofiler import notifier, profiler
from osprofiler._runtime import guard
from osprofiler.delivery.base import CallableReporter, NullReporter
from osprofiler.tracer import global_tracer

pytestmark = pytest.mark.usefixtures("osprofiler_process")


def test_nothing_is_kept_by_default() -> None:
    global_tracer.get_tracer()
    notifier.notify({"name": "a-start"})
    assert callable(notifier.get())
    assert isinstance(global_tracer.get_tracer().reporter, NullReporter)


def test_a_callable_is_called_at_once_in_the_callers_flow() -> None:
    seen: list[Any] = []
    notifier.set(seen.append)
    assert notifier.get() == seen.append
    profiler.init("key")
    profiler.start("a")
    assert [record["name"] for record in seen] == ["a-start"]
    profiler.stop()
    assert [record["name"] for record in seen] == ["a-start", "a-stop"]
    assert "osprofiler" not in seen[0]["info"]  # exactly the record of osprofiler 4
    notifier.notify({"own": 1})
    assert seen[-1] == {"own": 1}
    profiler.clean()


def test_a_callable_set_before_the_tracer_is_made_gets_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_tracer, "_tracer", None)
    seen: list[Any] = []
    notifier.set(seen.append)
    assert global_tracer.existing_tracer() is None
    profiler.init("key")
    with profiler.Trace("a"):
        pass
    profiler.clean()
    assert len(seen) == 2


def test_a_callable_that_is_replaced_is_let_go() -> None:
    class Sink:
        def __call__(self, record: Any) -> None: ...

    sink = Sink()
    gone = weakref.ref(sink)
    notifier.set(sink)
    global_tracer.get_tracer()
    assert isinstance(global_tracer.get_tracer().reporter, CallableReporter)
    notifier.set(lambda record: None)
    del sink
    assert gone() is None


def test_notify_is_guarded() -> None:
    def broken(record: Any) -> None:
        raise OSError

    notifier.set(broken)
    notifier.notify({})
    assert guard.counters["fault.notifier"] == 1


def test_one_notifier_for_each_store_and_service(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    first = notifier.create(url, project="nova", service="api", host="h")
    assert notifier.create(url, project="nova", service="api", host="h") is first
    assert notifier.create(url, "nova", "api", "h") is first
    for other in (
        notifier.create(url, project="nova", service="conductor", host="h"),
        notifier.create(url, project="glance", service="api", host="h"),
        notifier.create(url, project="nova", service="api", host="i"),
        notifier.create(f"{url}2", project="nova", service="api", host="h"),
    ):
        assert other is not first
    notifier.clear_notifier_cache()
    assert notifier.create(url, project="nova", service="api", host="h") is not first


def test_what_older_services_pass_in_the_place_of_names_may_be_anything(tmp_path: Path) -> None:
    made = notifier.create(f"sqlite:///{tmp_path}/traces.db", "messaging", {"user": "x"}, "host")
    assert isinstance(made, notifier.StoreNotifier)


def test_names_after_what_osprofiler_1_took_first(tmp_path: Path) -> None:
    # The arguments of trove 26: oslo_messaging, a context with a token, a transport, then the names.
    url, context = f"sqlite:///{tmp_path}/traces.db", {"auth_token": "gAAAAAB"}
    made = notifier.create(url, pytest, context, object(), "trove", "trove-api", "h")
    assert isinstance(made, notifier.StoreNotifier)
    assert made.service_name == "trove-trove-api"
    assert notifier.create(url, project="trove", service="trove-api", host="h") is made


@pytest.mark.parametrize("url", ["", "nonsense", "nosuchstore://x", "jaeger://", None, 5])
def test_a_bad_connection_string_keeps_nothing(url: Any, caplog: pytest.LogCaptureFixture) -> None:
    made = notifier.create(url)
    made({"name": "a-start"})
    assert made is notifier._noop_notifier
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith("osprofiler is off: ")
    assert "\n" not in line
