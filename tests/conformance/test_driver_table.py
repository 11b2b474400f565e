# SPDX-License-Identifier: Apache-2.0
"""The table of drivers in the documentation: it is that of the kit, and has a test for each cell."""

from pathlib import Path

from osprofiler.testing import tables
from osprofiler.testing.drivers import GUARANTEES, ServerKit
from tests.conformance import driver_table

_PAGE = Path(__file__).resolve().parents[2] / "doc/source/stores.rst"


def test_the_table_in_the_documentation_is_the_kits() -> None:
    """``python -m tests.conformance.driver_table`` makes it."""
    assert tables.between_marks(_PAGE.read_text("utf-8"), driver_table.NAME) == driver_table.table()


def test_every_test_of_the_kit_is_in_the_table() -> None:
    for kit in driver_table.KITS:
        tests = {name: getattr(kit, name) for name in dir(kit) if name.startswith("test_")}
        assert tests.keys() >= {name for name in dir(kit.__mro__[1]) if name.startswith("test_")}
        assert {vars(test).get("guarantee") for test in tests.values()} <= set(GUARANTEES), kit


def test_every_guarantee_is_looked_at() -> None:
    """For stores behind a network: a file has no server and no password."""
    without = {kit.title: [name for name in GUARANTEES if kit.cell(name) == "n/a"] for kit in driver_table.KITS}
    lacking = {title: names for title, names in without.items() if names}
    of_a_server = ["restart of the server", "wrong password", "no server"]
    # Jaeger takes only spans.
    spans_only = {title: ["garbage"] for title in ("Jaeger, thrift over HTTP", "Jaeger, OTLP")}
    assert lacking == dict.fromkeys(("SQLite", "MongoDB (mongo-java-server)"), of_a_server) | spans_only
    assert [name for name in GUARANTEES if ServerKit.cell(name) == "n/a"] == ["garbage"]
