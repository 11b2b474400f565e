# SPDX-License-Identifier: Apache-2.0
"""Trace points that the configuration puts into real modules, and takes out again."""

import asyncio
import importlib
import inspect
import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from osprofiler import config, profiler
from osprofiler._runtime import guard
from osprofiler.config import point_spec
from osprofiler.instrumentation.points.placing import Placing
from osprofiler.testing import recording
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import Recording

SERVICE = """
import abc
import contextlib
import functools
from json import dumps


def function(x):
    return x + 1


async def coroutine(x):
    return x + 1


def generator(n):
    yield from range(n)


async def async_generator(n):
    for each in range(n):
        yield each


@functools.lru_cache
def cached(x):
    return x


def _private():
    return "private"


class Base(abc.ABC):
    value = 5

    def own(self):
        return f"own of {type(self).__name__}"

    def refused(self):
        raise NotImplementedError()

    @abc.abstractmethod
    def abstract(self):
        pass

    @staticmethod
    def static(x):
        return x

    @classmethod
    def of_class(cls):
        return cls.__name__

    @property
    def prop(self):
        return self.value

    def constant(self):
        'Nothing to see.'
        return True

    def _hidden(self):
        return str(self.value)

    class Inner:
        def work(self):
            return "inner".upper()


class Sub(Base):
    def own(self):
        return super().own()

    def abstract(self):
        return "not any more".upper()


class Other(Base):
    def abstract(self):
        return "nor here".upper()

    def constant(self):
        return False
"""

LATER = """
from {service} import Sub


class Later(Sub):
    def own(self):
        return "later".upper()

    def more(self):
        return "more".upper()
"""

Follow = Callable[..., None]
Write = Callable[[str], str]

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def spans() -> Iterator[Recording]:
    with clean_process(), no_swallowed_faults(set()), recording() as spans:
        yield spans
        assert spans.unfinished() == []


@pytest.fixture
def placing() -> Iterator[Placing]:
    placing = Placing()
    yield placing
    placing.follow(())


@pytest.fixture
def follow(placing: Placing) -> Follow:
    """Have the points of some lines in force, and no others."""
    return lambda *lines: placing.follow(tuple(map(point_spec.parse, lines)))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module; returns its name, by which nothing was ever imported before."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(text: str) -> str:
        name = f"service_of_points_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def service(write: Write) -> Any:
    """The module of a service, imported."""
    return importlib.import_module(write(SERVICE))


def operations(spans: Recording) -> list[str]:
    """What was recorded since it was asked last, without the names of modules."""
    names = [span.operation.partition(".")[2] for span in spans]
    spans.clear()
    return names


def contents(module: ModuleType) -> dict[str, Any]:
    classes = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    return {**vars(module), **{cls.__name__: dict(vars(cls)) for cls in classes}}


@pytest.mark.parametrize("imported_before", [True, False])
def test_points_are_put_into_a_module_whenever_it_is_imported(
    imported_before: bool, write: Write, follow: Follow, spans: Recording
) -> None:
    name = write(SERVICE)
    if imported_before:
        importlib.import_module(name)
    follow(f"{name}:function name=work", f"{name}:Sub.own")
    service = importlib.import_module(name)
    assert (service.function(1), service.Sub().own()) == (2, "own of Sub")
    assert [(span.name, span.operation) for span in spans] == [
        ("work", f"{name}.function"),
        ("call", f"{name}.Sub.own"),
    ]
    assert spans[0].info == {"function": {"name": f"{name}.function", "args": "(1,)", "kwargs": "{}"}}
    assert operations(spans) == ["function", "Sub.own"]


def test_a_copy_that_another_module_takes_on_import_is_a_point(write: Write, follow: Follow, spans: Recording) -> None:
    name = write(SERVICE)
    follow(f"{name}:function")
    user = importlib.import_module(write(f"from {name} import function"))
    user.function(1)
    assert operations(spans) == ["function"]
    follow()
    assert (user.function(1), operations(spans)) == (2, [])
    follow(f"{name}:function")
    assert (user.function(1), operations(spans)) == (2, ["function"])


def test_each_kind_of_function_keeps_its_nature(service: Any, follow: Follow, spans: Recording) -> None:
    follow(*(f"{service.__name__}:{name}" for name in ("*", "Base.prop", "Base.Inner", "_private")))

    async def tasks() -> list[int]:
        return [await service.coroutine(1), *[each async for each in service.async_generator(2)]]

    assert service.function(1) == 2
    assert asyncio.run(tasks()) == [2, 0, 1]
    assert list(service.generator(2)) == [0, 1]
    sub = service.Sub()
    assert (service.Base.static(1), sub.static(2), service.Sub.of_class(), sub.of_class()) == (1, 2, "Sub", "Sub")
    assert (sub.prop, sub.abstract(), service.Base.Inner().work()) == (5, "NOT ANY MORE", "INNER")
    assert service._private() == "private"
    assert operations(spans) == [
        "function",
        "coroutine",
        "async_generator",
        "generator",
        *["Base.static"] * 2,
        *["Base.of_class"] * 2,
        "Base.prop",
        "Sub.abstract",
        "Base.Inner.work",
        "_private",
    ]
    assert inspect.iscoroutinefunction(service.coroutine)
    assert inspect.isasyncgenfunction(service.async_generator)
    assert inspect.isgeneratorfunction(service.generator)
    assert isinstance(vars(service.Base)["static"], staticmethod)
    assert isinstance(vars(service.Base)["of_class"], classmethod)
    assert str(inspect.signature(service.function)) == "(x)"


def test_a_pattern_takes_what_the_module_defines_and_does(service: Any, follow: Follow, spans: Recording) -> None:
    follow(f"{service.__name__}:*")
    assert service.dumps(1) == "1"  # from elsewhere
    assert service._private() == "private"
    with pytest.raises(NotImplementedError):
        service.Sub().refused()
    assert (service.Sub()._hidden(), service.Sub().constant()) == ("5", True)
    assert operations(spans) == []
    follow(f"{service.__name__}:Base+")
    service.Sub().constant()
    assert operations(spans) == []
    service.Other().constant()
    assert operations(spans) == ["Other.constant"]
    follow(f"{service.__name__}:Base._*")
    service.Sub()._hidden()
    assert operations(spans) == ["Base._hidden"]
    assert "__init__" not in vars(service.Base)


def test_a_call_through_super_is_two_points(service: Any, follow: Follow, spans: Recording) -> None:
    follow(f"{service.__name__}:Base+.own")
    service.Sub().own()
    service.Other().own()
    assert [(span.operation.partition(".")[2], span.tags.get("osprofiler.class")) for span in spans] == [
        ("Base.own", f"{service.__name__}.Sub"),
        ("Sub.own", None),
        ("Base.own", f"{service.__name__}.Other"),
    ]


def test_an_inherited_method_is_named_by_the_class_it_was_asked_for(
    service: Any, follow: Follow, spans: Recording
) -> None:
    for lines in (["Other.own"], ["Other.own", "Base.own"], ["Base.own", "Other.own"]):
        follow(*(f"{service.__name__}:{line}" for line in lines))
        service.Other().own()
        assert operations(spans) == ["Other.own"]
        service.Sub().own()
        assert operations(spans) == (["Base.own"] if "Base.own" in lines else [])
    follow()
    assert "own" not in vars(service.Other)


@pytest.mark.parametrize("line", ["Base+", "Base+.own", "Sub+.own"])
def test_subclasses_that_are_imported_later(
    line: str, service: Any, write: Write, follow: Follow, spans: Recording
) -> None:
    follow(f"{service.__name__}:{line}")
    later = importlib.import_module(write(LATER.format(service=service.__name__)))
    config.fresh()  # a unit of work begins
    later.Later().own()
    assert operations(spans) == ["Later.own"]
    later.Later().more()
    assert operations(spans) == (["Later.more"] if line == "Base+" else [])
    follow()
    assert contents(later)["Later"]["own"].__closure__ is None


def test_no_unit_of_work_looks_where_no_subclasses_are_asked_for(
    service: Any, follow: Follow, placing: Placing, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(Placing, "look", lambda self: looks.append(None))
    follow(f"{service.__name__}:Base.own")
    config.fresh()
    assert looks == []
    follow(f"{service.__name__}:Base+.own")
    config.fresh()
    assert looks == [None]
    follow(f"{service.__name__}:Base.own")
    config.fresh()
    assert looks == [None]


def test_all_is_as_before_once_they_are_taken_out(service: Any, follow: Follow) -> None:
    before = contents(service)
    follow(*(f"{service.__name__}:{name}" for name in ("*", "Base+", "Base.prop", "Other.own", "Base.Inner.work")))
    assert contents(service) != before
    follow()
    assert contents(service) == before


def test_of_two_lines_the_later_one_counts(service: Any, follow: Follow, spans: Recording) -> None:
    name = service.__name__
    before = contents(service)
    follow(f"{name}:Base+ name=first", f"{name}:Sub.own name=second hide_args", f"{name}:Base.own off")
    service.Sub().own()
    assert [(span.name, span.operation) for span in spans] == [("second", f"{name}.Sub.own")]
    assert "args" not in spans[0].info["function"]
    assert contents(service)["Base"]["own"] is before["Base"]["own"]
    spans.clear()
    follow(f"{name}:Sub.own name=third", f"{name}:Sub.own on")
    service.Sub().own()
    assert [(span.name, "args" in span.info["function"]) for span in spans] == [("call", True)]


def test_a_share_of_the_calls(service: Any, follow: Follow, spans: Recording) -> None:
    follow(f"{service.__name__}:function rate=0.5")
    assert [service.function(x) for x in range(1000)] == list(range(1, 1001))
    assert 300 < len(spans) < 700  # a fair coin: 12 standard deviations
    assert {span.info["rate"] for span in spans} == {0.5}
    spans.clear()
    follow(f"{service.__name__}:function")
    service.function(1)
    assert "rate" not in spans[0].info


TRACED = """
from osprofiler import profiler


@profiler.trace("by the service")
def function():
    pass


@profiler.trace_cls("by the service")
class Traced:
    def method(self):
        pass


class Sub(Traced):
    pass
"""


def test_what_the_service_traces_itself_stays_one_point(write: Write, follow: Follow, spans: Recording) -> None:
    service = importlib.import_module(write(TRACED))
    before = contents(service)
    follow(*(f"{service.__name__}:{name}" for name in ("*", "Traced+", "Sub.method")))
    service.function()
    service.Sub().method()
    assert spans.names() == ["by the service"] * 2
    assert contents(service) == before


def test_and_where_it_does_so_later(service: Any, follow: Follow, spans: Recording) -> None:
    """As cinder traces its driver: the object, when its manager has made it."""
    follow(f"{service.__name__}:Base+", f"{service.__name__}:function")
    driver = profiler.trace_cls("by the service", allow_multiple_trace=False)(service.Other())
    assert driver.own() == "own of Other"
    assert driver.of_class() == "Other"  # which trace_cls leaves alone
    assert profiler.trace("by the service")(service.function)(1) == 2
    assert spans.names() == ["by the service", "call", "by the service"]
    spans.clear()
    profiler.trace_cls("by the service")(service.Sub)
    service.Sub().abstract()
    assert spans.names() == ["by the service"]
    follow()
    service.Sub().abstract()
    assert spans.names() == ["by the service"] * 2


WRAPT = """
import wrapt


@wrapt.decorator
def asks(wrapped, instance, args, kwargs):
    return instance, wrapped(*args, **kwargs)


class Decorated:
    @asks
    def method(self, x):
        return x


@asks
def function(x):
    return x
"""


def test_a_decorator_of_wrapt_still_knows_the_object(write: Write, follow: Follow, spans: Recording) -> None:
    service = importlib.import_module(write(WRAPT))
    follow(f"{service.__name__}:*")
    thing = service.Decorated()
    assert thing.method(1) == (thing, 1)
    assert service.function(2) == (None, 2)
    assert operations(spans) == ["Decorated.method", "function"]
    assert "Decorated object" in thing.__repr__()


def test_what_others_put_on_top_stays(service: Any, follow: Follow, spans: Recording) -> None:
    follow(f"{service.__name__}:function")
    point = service.function

    def on_top(x: int) -> Any:
        return "on top", point(x)

    service.function = on_top
    follow()
    assert (service.function(1), operations(spans)) == (("on top", 2), [])
    service.function = point
    assert (service.function(1), operations(spans)) == (2, [])
    follow(f"{service.__name__}:function")
    assert (service.function(1), operations(spans)) == (2, ["function"])


def test_a_module_that_is_loaded_anew(service: Any, follow: Follow, spans: Recording) -> None:
    follow(f"{service.__name__}:function", f"{service.__name__}:Base+")
    importlib.reload(service)
    config.fresh()
    sys.modules[f"{service.__name__}.more"] = ModuleType("more")  # what a look sees
    config.fresh()
    del sys.modules[f"{service.__name__}.more"]
    service.function(1)
    assert operations(spans) == ["function"]


def test_names_that_are_not_there_are_one_warning_each(
    write: Write, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    name = write(SERVICE)
    missing = ["nothing", "No.own", "No+", "Base.nothing", "no_*", "Base.value", "Base.No.own", "cached"]
    there = ["function", "Base+.only_in_some_subclass", "Base+", "Sub"]
    for _ in range(2):
        follow(*(f"{name}:{each}" for each in (*missing, *there)), "no.such.module.at_all:function")
        if name not in sys.modules:
            assert caplog.messages == []  # nothing of it was imported
        importlib.import_module(name)
        follow()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    targets = [point_spec.parse(f"{name}:{each}").target for each in missing]
    assert warnings == [f"[profiler] points: there is nothing to trace at {target}" for target in targets]


def test_a_class_that_refuses_changes_is_left_alone(write: Write, follow: Follow, spans: Recording) -> None:
    text = """
class Meta(type):
    def __setattr__(cls, name, value):
        raise TypeError("no")


class Fixed(metaclass=Meta):
    def method(self):
        return abs(1)


def function():
    return abs(2)
"""
    service = importlib.import_module(write(text))
    with pytest.raises(AssertionError, match=r"fault\.points"), no_swallowed_faults(set()):
        follow(f"{service.__name__}:*")
    guard.clear()
    assert (service.Fixed().method(), service.function()) == (1, 2)
    assert operations(spans) == ["function"]
