# SPDX-License-Identifier: Apache-2.0
"""The table of options in the documentation is equal to the table in the code."""

from pathlib import Path

from osprofiler.testing import tables
from tests.conformance import option_table

_PAGE = Path(__file__).resolve().parents[2] / "doc/source/stores.rst"


def test_the_table_in_the_documentation_is_the_codes() -> None:
    """``python -m tests.conformance.option_table`` makes it."""
    assert tables.between_marks(_PAGE.read_text("utf-8"), option_table.NAME) == option_table.table()
