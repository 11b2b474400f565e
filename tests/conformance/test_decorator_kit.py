# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on the decorator, and on decorators that are wrong on purpose."""

import functools
from typing import Any

import pytest

from osprofiler import profiler
from osprofiler.testing.decorators import Decorate, DecoratorKit
from tests.conformance.kit_runs import failed


class TestTrace(DecoratorKit):
    @pytest.fixture
    def decorate(self) -> Decorate:
        return profiler.trace("point", hide_result=False)


class TestTraceWithoutArguments(DecoratorKit):
    @pytest.fixture
    def decorate(self) -> Decorate:
        return profiler.trace("point", hide_args=True)


def around_the_call(function: Any) -> Any:
    """A point around the call only, as in stock: too short for coroutines and generators."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with profiler.Trace("point"):
            return function(*args, **kwargs)

    return call


def without_a_point(function: Any) -> Any:
    return function


def without_a_name(function: Any) -> Any:
    return lambda *args, **kwargs: function(*args, **kwargs)


def always_traced(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        profiler.init("key")
        return around_the_call(function)(*args, **kwargs)

    return call


def showing_arguments(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return repr(args) and around_the_call(function)(*args, **kwargs)

    return call


def raising_its_own(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return around_the_call(function)(*args, **kwargs)
        except Exception as fault:
            raise LookupError from fault

    return call


WRONG: list[tuple[Any, str]] = [
    (without_a_point, "test_a_function"),
    (without_a_name, "test_it_keeps_name_text_and_signature"),
    (without_a_point, "test_a_method"),
    (around_the_call, "test_a_class_or_static_method"),
    (without_a_point, "test_a_callable_object"),
    (around_the_call, "test_a_coroutine"),
    (around_the_call, "test_a_generator"),
    (around_the_call, "test_an_asynchronous_generator"),
    (raising_its_own, "test_an_exception_passes_as_it_is"),
    (showing_arguments, "test_arguments_and_results_whose_repr_raises"),
    (without_a_point, "test_calls_nest"),
    (always_traced, "test_without_a_trace_it_only_calls"),
]


@pytest.mark.parametrize(("wrong", "caught_by"), WRONG)
def test_the_kit_finds_what_is_wrong(wrong: Any, caught_by: str, pytester: pytest.Pytester) -> None:
    assert failed(pytester, DecoratorKit, "decorate", f"{__name__}:{wrong.__name__}", caught_by)


def test_the_kit_passes_what_is_right(pytester: pytest.Pytester) -> None:
    assert failed(pytester, DecoratorKit, "decorate", f"{__name__}:profiler.trace('point')") == 0


def test_every_test_of_the_kit_has_a_wrong_decorator() -> None:
    assert {name for name in vars(DecoratorKit) if name.startswith("test_")} == {name for _, name in WRONG}
