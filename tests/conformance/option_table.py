# SPDX-License-Identifier: Apache-2.0
"""The table of the options of connection strings in the documentation, made of the table in the code.

``python -m tests.conformance.option_table doc/source/stores.rst`` writes it.
"""

from __future__ import annotations

import sys

from osprofiler.connection import options
from osprofiler.testing import tables

#: The name in the marks on the page.
NAME = "tests.conformance.option_table"


def table() -> str:
    """The table as reStructuredText."""
    kinds = {
        "any SQLAlchemy URL" if "sqlite" in each.names else f"``{each.names[0]}``": each for each in options.SCHEMES
    }
    of_option: dict[options.Option, list[str]] = {}
    for kind, scheme in kinds.items():
        for each in scheme.options:
            of_option.setdefault(each, []).append(kind)
    rows = [[f"``{each.name}={each.value}``", each.about, ", ".join(of)] for each, of in of_option.items()]
    rows += [[f"those of {each.library}", "", kind] for kind, each in kinds.items() if each.library]
    return tables.list_table([["option", "what it does", "schemes that begin with"], *rows])


if __name__ == "__main__":
    tables.put_between_marks(sys.argv[1], NAME, table())
