# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve`` in this process, on a SQLite store."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from osprofiler.drivers import base
from osprofiler.serve import application
from osprofiler.serve.application import Application
from osprofiler.serve.gate import Gate
from osprofiler.serve.store import Store
from osprofiler.testing.records import TRACE
from tests.unit.reports_kit import Made, records
from tests.unit.wsgi_asking import ask

#: The part of a search that has all times.
ALL = "start=0&end=9000000000000000"


def trace(base_id: str = TRACE, service: str = "svc", info: Any = None) -> list[dict[str, Any]]:
    """The records of a request with an error."""
    made = records(
        Made("boot", None, 0, 1_000, info=info),
        Made("build", "boot", 100, 900),
        Made("check", "build", 200, 300),
    )
    made[-1]["info"]["etype"] = "ValueError"
    text = json.dumps([{**record, "service": service} for record in made]).replace(TRACE, base_id)
    # The points' ids have the first half of the trace's id.
    read: list[dict[str, Any]] = json.loads(text.replace(TRACE[:18], base_id[:18]))
    return read


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/traces.db"


def serving(make: Callable[[], Any] | str, gate: Gate | None = None, **options: Any) -> Application:
    """The application on the store that *make* opens, or whose connection string it is."""
    opened = functools.partial(base.get_driver, make) if isinstance(make, str) else make
    return application.of(Store(opened), gate or Gate(), **options)


@pytest.fixture
def served(url: str) -> Application:
    base.get_driver(url).write(trace())
    return serving(url)


def found(served: Application, **query: Any) -> list[str]:
    """The ids of the traces that a search finds."""
    response = ask(served, f"/api/traces?{urlencode({'service': 'svc', 'start': 0, 'end': 9 * 10**15, **query})}")
    assert response.status == 200, response.text
    return [each["traceID"] for each in response.json["data"]]
