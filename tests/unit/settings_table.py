# SPDX-License-Identifier: Apache-2.0
"""The tables of options in the documentation, made from the one table of settings.

``python -m tests.unit.settings_table doc/source/configuration.rst`` writes them.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from osprofiler.config.row import Row, rows
from osprofiler.config.table import Settings
from osprofiler.testing import tables

#: The groups of options. Each has its own table.
GROUPS = ("profiler", "profiler_jaeger", "profiler_otlp")


def name(group: str) -> str:
    """The name in the marks around the table of *group*."""
    return f"tests.unit.settings_table of {group}"


def table(group: str, settings: type = Settings) -> str:
    """The options of *group* as reStructuredText."""
    head = ["Option", "Default", "Value", "In a policy", "Meaning"]
    own = [row for row in rows(settings).values() if row.group == group and row.kind.option is not None]
    if not any(row.policy for row in own):
        head.remove("In a policy")
    return tables.list_table([head, *(_cells(row, with_policy=len(head) == 5) for row in own)])


def _cells(row: Row[Any], *, with_policy: bool) -> list[str]:
    policy = ["yes" if row.policy else ""] if with_policy else []
    meaning = f"{_escaped(row.help)} {row.link}".strip()
    return [f"``{row.name}``{' (mutable)' if row.mutable else ''}", _default(row), row.kind.word, *policy, meaning]


def _default(row: Row[Any]) -> str:
    default = ", ".join(row.default) if isinstance(row.default, list) else row.default
    return "none" if default in ("", None, {}) else f"``{default}``"


def _escaped(text: str) -> str:
    """*text*, escaped so that it has no markup of reStructuredText."""
    return re.sub(r"([*`|\\]|_(?!\w))", r"\\\1", text)


if __name__ == "__main__":
    for each in GROUPS:
        tables.put_between_marks(sys.argv[1], name(each), table(each))
