# SPDX-License-Identifier: Apache-2.0
"""Every execution model and every guarantee: one test per cell of the table in doc/source/concurrency.rst."""

import functools
import sys

import pytest

from osprofiler.instrumentation import layers, registry
from osprofiler.testing import concurrency, tables
from osprofiler.testing.concurrency import table
from osprofiler.testing.concurrency.models import MODELS

EXECUTION_MODELS = sorted(set(registry.known()) & {name for model in MODELS for name in model.instrumentation})


@functools.cache
def outcomes(model: type[concurrency.Model], *others: str) -> dict[str, str]:
    return concurrency.check_in_own_process(f"{model.__module__}:{model.__name__}", *others)


@pytest.mark.parametrize("guarantee", concurrency.GUARANTEES)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.title)
def test_cell(model: type[concurrency.Model], guarantee: str) -> None:
    outcome = outcomes(model)[guarantee]
    if outcome == "not applicable":
        assert not model.instrumentation
        assert guarantee == "instrument and back"
    else:
        assert outcome == "ok", outcome


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.title)
def test_with_everything_instrumented_at_once(model: type[concurrency.Model]) -> None:
    """A service may instrument everything: no branch is doubled or lost."""
    wrong = {name: outcome for name, outcome in outcomes(model, *EXECUTION_MODELS).items() if outcome != "ok"}
    assert not wrong, "\n".join(wrong.values())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the page has what came with Python 3.11")
def test_the_documentation_has_the_table() -> None:
    """``python -m osprofiler.testing.concurrency.table`` makes it. Each cell is a test above."""
    with open("doc/source/concurrency.rst", encoding="utf-8") as page:
        text = page.read()
    assert tables.between_marks(text, table.NAME) == table.table()


def test_every_execution_model_that_can_be_instrumented_has_a_row() -> None:
    start_no_work = {"messaging", "logging", *layers.SWITCHES}
    assert set(registry.known()) - start_no_work == set(EXECUTION_MODELS)
