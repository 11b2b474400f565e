# SPDX-License-Identifier: Apache-2.0
"""The same guarantees with OpenTracing's own scope managers in the place of our context variable."""

import functools
from typing import Any

import pytest
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

from osprofiler.opentracing_compat import scope
from osprofiler.testing import concurrency
from osprofiler.testing import concurrency_models as models

MANAGERS = {
    "threads": (ThreadLocalScopeManager, [models.Threads, models.Timers, models.FutureThreads, models.Processes]),
    "contextvars": (
        ContextVarsScopeManager,
        [models.Threads, models.FutureThreads, models.DoneCallbacks, models.Tasks, models.Gathered, models.ToThread],
    ),
    "asyncio": (AsyncioScopeManager, [models.Threads, models.Tasks, models.Gathered]),
}


def with_manager(manager: str, model: type[concurrency.Model]) -> type[concurrency.Model]:
    """*model* where *manager* keeps the current point."""

    class Managed(model):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__()
            scope.use(MANAGERS[manager][0]())

    return Managed


def __getattr__(name: str) -> Any:
    """The classes by name, for the processes that the kit runs them in."""
    manager, _, model = name.partition("_")
    if manager not in MANAGERS:
        raise AttributeError(name)
    return with_manager(manager, getattr(models, model))


@functools.cache
def outcomes(manager: str, model: str) -> dict[str, str]:
    return concurrency.check_in_own_process(f"{__name__}:{manager}_{model}")


@pytest.mark.parametrize("guarantee", concurrency.GUARANTEES)
@pytest.mark.parametrize(
    ("manager", "model"), [(name, model.__name__) for name, (_, chosen) in MANAGERS.items() for model in chosen]
)
def test_cell(manager: str, model: str, guarantee: str) -> None:
    assert outcomes(manager, model)[guarantee] == "ok", outcomes(manager, model)[guarantee]
