# SPDX-License-Identifier: Apache-2.0
"""The documentation's table of options is the one that the code uses."""

from pathlib import Path

from osprofiler.testing import tables
from tests.conformance import option_table

_PAGE = Path(__file__).resolve().parents[2] / "doc/source/stores.rst"


def test_the_table_in_the_documentation_is_the_codes() -> None:
    """Made by ``python -m tests.conformance.option_table``."""
    assert tables.between_marks(_PAGE.read_text("utf-8"), option_table.NAME) == option_table.table()
