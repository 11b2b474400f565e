# SPDX-License-Identifier: Apache-2.0
"""Every pair of tracers, in processes of their own, over REST and a real RabbitMQ, does what the documentation says."""

from functools import partial
from pathlib import Path

import pytest

from osprofiler.testing import tables
from tests import conftest
from tests.integration import pairs
from tests.integration.pairs import SERVERS, TITLES, Row
from tests.servers import Rabbit

PAGE = Path(__file__).parents[2] / "doc" / "source" / "propagation.rst"

OURS = [Row("ours", "signed", True), Row("ours", "w3c", True), Row("ours", "jaeger", False)]
FOREIGN = [
    Row("jaeger_client", "jaeger", True),
    Row("opentelemetry", "b3 single", False),
    Row("stock", "signed", True),
    Row("oslo", "w3c", True),
]


@pytest.fixture(autouse=True, scope="module")
def peers() -> None:
    """The environments of all peers are there."""
    for kind in TITLES:
        conftest.made(partial(pairs.python, kind))


def documented() -> str:
    return tables.between_marks(PAGE.read_text(), pairs.NAME)


def test_rows_of_each_kind(rabbit: Rabbit) -> None:
    """Each kind as a sender to us, and we as a sender to each kind."""
    trusting = [server for server in SERVERS if server.options.get("trust") == "all"]
    measured = pairs.measure(rabbit, OURS, [server for server in SERVERS if server.kind != "ours"])
    measured |= pairs.measure(rabbit, FOREIGN, trusting)
    expected = pairs.read(documented())
    assert {row: {title: expected[row][title] for title in cells} for row, cells in measured.items()} == measured


@pytest.mark.slow
def test_every_pair(rabbit: Rabbit) -> None:
    measured = pairs.measure(rabbit, pairs.rows())
    assert pairs.table({row: measured[row] for row in pairs.rows()}) == documented(), pairs.__doc__
