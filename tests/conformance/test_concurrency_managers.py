# SPDX-License-Identifier: Apache-2.0
"""The same guarantees with OpenTracing's own scope managers instead of our context variable."""

import functools
from typing import Any

import pytest
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

from osprofiler.context import current, scope
from osprofiler.testing import concurrency
from osprofiler.testing.concurrency import tasks, threads
from osprofiler.testing.concurrency.processes import Processes

MANAGERS: dict[str, tuple[Any, list[type[concurrency.Model]]]] = {
    "threads": (ThreadLocalScopeManager, [threads.Threads, threads.Timers, threads.FutureThreads, Processes]),
    "contextvars": (
        ContextVarsScopeManager,
        [threads.Threads, threads.FutureThreads, threads.DoneCallbacks, tasks.Tasks, tasks.Gathered, tasks.ToThread],
    ),
    "asyncio": (AsyncioScopeManager, [threads.Threads, tasks.Tasks, tasks.Gathered]),
}


def with_manager(manager: str, model: type[concurrency.Model]) -> type[concurrency.Model]:
    """*model* with *manager* as the scope manager."""

    class Managed(model):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__()
            scope.use(MANAGERS[manager][0]())

        def mark(self) -> None:
            assert type(current.manager) is MANAGERS[manager][0]
            super().mark()

    return Managed


def __getattr__(name: str) -> Any:
    """The classes by name, for the processes that the kit runs them in."""
    manager, _, title = name.partition("_")
    for model in MANAGERS.get(manager, (None, []))[1]:
        if model.__name__ == title:
            return with_manager(manager, model)
    raise AttributeError(name)


@functools.cache
def outcomes(manager: str, model: str) -> dict[str, str]:
    return concurrency.check_in_own_process(f"{__name__}:{manager}_{model}")


@pytest.mark.parametrize("guarantee", concurrency.GUARANTEES)
@pytest.mark.parametrize(
    ("manager", "model"), [(name, model.__name__) for name, (_, chosen) in MANAGERS.items() for model in chosen]
)
def test_cell(manager: str, model: str, guarantee: str) -> None:
    assert outcomes(manager, model)[guarantee] == "ok", outcomes(manager, model)[guarantee]
