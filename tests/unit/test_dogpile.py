# SPDX-License-Identifier: Apache-2.0
"""Regions of dogpile.cache: hits, misses, the creation inside, and what is never shown."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from dogpile.cache import make_region
from dogpile.cache.region import CacheRegion

from osprofiler import profiler
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import KEY, Recording, recording
from tests.unit.core_kit import a_clean_process
from tests.waiting import wait_until

GET, CREATE = "dogpile.cache get_or_create", "dogpile.cache create"


@pytest.fixture
def region() -> CacheRegion:
    """A region that was made before the layer was turned on."""
    return make_region("tokens").configure("dogpile.cache.memory")


@pytest.fixture
def spans(region: CacheRegion) -> Iterator[Recording]:
    with a_clean_process():
        registry.instrument("dogpile")
        with recording() as spans:
            yield spans
            assert spans.unfinished() == []
        registry.uninstrument()


def load() -> str:
    with profiler.Trace("database"):
        return "value"


def told(spans: Recording) -> list[tuple[str, Any]]:
    """Operation and hit of each span, in the order of their ends."""
    return [(span.operation, span.tags.get("cache.hit")) for span in spans]


def test_a_miss_has_its_creation_inside_and_a_hit_has_none(region: CacheRegion, spans: Recording) -> None:
    assert [region.get_or_create("key", load) for _ in range(2)] == ["value", "value"]
    database, created, missed, hit = spans
    assert told(spans)[1:] == [(CREATE, None), (GET, False), (GET, True)]
    assert (database.parent_id, created.parent_id) == (created.point_id, missed.point_id)
    assert missed.tags["cache.region"] == "tokens"
    assert missed.tags["code.function"] == f"{__name__}.load"
    assert hit.parent_id == missed.parent_id


def test_a_decorated_function_is_named(region: CacheRegion, spans: Recording) -> None:
    @region.cache_on_arguments()
    def validate(token: str) -> str:
        return "valid"

    assert [validate("gAAAAABnSecret") for _ in range(2)] == ["valid", "valid"]
    assert told(spans) == [(CREATE, None), (GET, False), (GET, True)]
    assert all(span.tags["code.function"].endswith(".validate") for span in spans)


def test_neither_key_nor_value_is_shown(region: CacheRegion, spans: Recording) -> None:
    region.get_or_create("secret-key", lambda: "secret-value")
    region.get_or_create_multi(["secret-1"], lambda *keys: ["secret-value"])
    assert len(spans) == 4
    assert "secret-" not in repr(spans)


def test_many_values_are_a_hit_if_none_is_created(region: CacheRegion, spans: Recording) -> None:
    for keys in (["a"], ["a"], ["a", "b"]):
        region.get_or_create_multi(keys, lambda *missing: list(missing))
    verb = "dogpile.cache get_or_create_multi"
    assert told(spans) == [(CREATE, None), (verb, False), (verb, True), (CREATE, None), (verb, False)]


def test_a_creation_that_fails_is_an_error_of_both(region: CacheRegion, spans: Recording) -> None:
    fault = LookupError("no such token")

    def fail() -> None:
        raise fault

    with pytest.raises(LookupError) as raised:
        region.get_or_create("key", fail)
    assert raised.value is fault
    assert [span.error for span in spans] == ["LookupError", "LookupError"]


def test_a_wait_for_the_creation_in_another_thread_is_a_hit(region: CacheRegion, spans: Recording) -> None:
    creating, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        creating.set()
        assert go_on.wait(60)
        return "theirs"

    other = threading.Thread(target=region.get_or_create, args=("key", slow))
    other.start()
    assert creating.wait(60)
    threading.Timer(0.05, go_on.set).start()
    assert region.get_or_create("key", load) == "theirs"
    other.join()
    assert told(spans) == [(GET, True)], "the other thread is in no trace"


def test_a_creation_by_a_runner_belongs_to_the_runner(spans: Recording) -> None:
    threads = []

    def run(cache: Any, key: str, creator: Any, mutex: Any) -> None:
        def work() -> None:
            try:
                cache.set(key, creator())
            finally:
                mutex.release()

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    region = make_region(async_creation_runner=run).configure("dogpile.cache.memory")
    region.set("key", "old")
    assert region.get_or_create("key", load, expiration_time=1e-9) == "old"
    threads[0].join()
    wait_until(lambda: region.get("key") == "value", what="the new value")
    assert [operation for operation, _ in told(spans)] == [GET]


def test_without_a_sampled_trace_it_only_gets(region: CacheRegion, spans: Recording) -> None:
    for number, point in enumerate((None, Point(None, None, Origin.from_osprofiler(KEY, flags=0)), scope.SUPPRESSED)):
        with scope.entered(point):
            assert region.get_or_create(str(number), load) == "value"
    assert spans == []


def test_uninstrumented_it_is_the_library_s_own(region: CacheRegion, spans: Recording) -> None:
    registry.uninstrument("dogpile")
    original = CacheRegion.get_or_create
    assert original.__module__ == "dogpile.cache.region"
    assert not hasattr(original, "__wrapped__")
    region.get_or_create("a", str)
    assert spans == []
    registry.instrument("dogpile")
    registry.instrument("dogpile")
    region.get_or_create("b", str)
    assert told(spans) == [(CREATE, None), (GET, False)]
    registry.uninstrument("dogpile")
    assert CacheRegion.get_or_create is original
