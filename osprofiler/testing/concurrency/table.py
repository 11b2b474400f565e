# SPDX-License-Identifier: Apache-2.0
"""The table of execution models and guarantees in the documentation, made by a run of the kit.

``python -m osprofiler.testing.concurrency.table doc/source/concurrency.rst`` runs all models and writes the table. If a
model fails, it writes nothing.
"""

from __future__ import annotations

import concurrent.futures
import sys

from osprofiler.testing import tables
from osprofiler.testing.concurrency import GUARANTEES, Model, check_in_own_process
from osprofiler.testing.concurrency.models import MODELS

#: The name in the marks on the page.
NAME = "osprofiler.testing.concurrency.table"

_AUTOMATIC = {"branch": "", "inherited": "in the trace, no branch", "never": "never followed"}


def failures() -> list[str]:
    """Run all models. Returns one line for each guarantee that fails."""
    paths = [f"{model.__module__}:{model.__name__}" for model in MODELS]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [
            f"{path}, {name}: {outcome}"
            for path, outcomes in zip(paths, pool.map(check_in_own_process, paths), strict=True)
            for name, outcome in outcomes.items()
            if outcome not in ("ok", "not applicable")
        ]


def table() -> str:
    """The table as reStructuredText, if no guarantee fails."""
    heads = ["execution model", "instrument", "automatic reference", *GUARANTEES]
    return tables.list_table([heads, *(_row(model) for model in MODELS)])


def _row(model: type[Model]) -> list[str]:
    names = ", ".join(f"``{name}``" for name in model.instrumentation)
    reference = _AUTOMATIC[model.follows] or model.reference
    cells = [_cell(model, guarantee) for guarantee in GUARANTEES]
    return [model.title, names or "nothing", reference, *cells]


def _cell(model: type[Model], guarantee: str) -> str:
    return "n/a" if guarantee == "instrument and back" and not model.instrumentation else "yes"


def main(path: str) -> int:
    """Check all models, and write the table into the page at *path*."""
    wrong = failures()
    if wrong:
        print("\n".join(wrong), file=sys.stderr)  # noqa: T201
        return 1
    tables.put_between_marks(path, NAME, table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
