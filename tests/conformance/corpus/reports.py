# SPDX-License-Identifier: Apache-2.0
"""What is shown of given records: the driver's report, and each form in which the command line shows a trace."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from osprofiler.cmd import shell
from osprofiler.drivers import base

BASE = "7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a01"
FORMS = ([], ["--json"], ["--jaeger-json"], ["--dot"], ["--recorded-times"])


def _record(name: str, point: str, parent: str, ms: int, base_id: str = BASE, **info: Any) -> dict[str, Any]:
    at = datetime.datetime(2026, 11, 29, 3, 0) + datetime.timedelta(milliseconds=ms)
    return {
        "name": name,
        "service": "api",
        "project": "nova",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "base_id": base_id,
        "trace_id": point,
        "parent_id": parent,
        "info": {"host": "host-1", "project": "nova", "service": "api", **info},
    }


def _point(number: int) -> str:
    return f"7bbd2d5c-3c54-4d45-0000-{number:012d}"


TRACES = {
    "a plain trace": [
        _record(
            "wsgi-start", _point(1), BASE, 0, request={"path": "/v2", "method": "GET", "query": "", "scheme": "http"}
        ),
        _record("db-start", _point(2), _point(1), 3, db={"statement": "SELECT 1", "params": "{}"}),
        _record("db-stop", _point(2), _point(1), 5),
        _record("rpc-start", _point(3), _point(1), 6, function={"name": "f", "args": "(1,)", "kwargs": "{}"}),
        _record("rpc-stop", _point(3), _point(1), 106, function={"result": "'é'"}),
        _record("wsgi-stop", _point(1), BASE, 110),
    ],
    "errors, a point that never stopped, and one without its start": [
        _record("first-start", _point(1), BASE, 0),
        _record("fails-start", _point(2), _point(1), 1),
        _record("fails-stop", _point(2), _point(1), 2, etype="ValueError", message="bad"),
        _record("open-start", _point(3), _point(1), 3),
        _record("ended-stop", _point(4), _point(1), 9),
        _record("first-stop", _point(1), BASE, 10, etype="ValueError", message="bad"),
    ],
    "parents that are not there, and names with dashes": [
        _record("a-start-start", _point(1), _point(77), 0),
        _record("a-start-stop", _point(1), _point(77), 4),
        _record("neutron-api-start", _point(2), BASE, 2),
        _record("neutron-api-stop", _point(2), BASE, 3),
    ],
    "ids that are no UUIDs": [
        _record("a-start", "p1", "trace", 0, base_id="trace"),
        _record("b-start", "p2", "p1", 1, base_id="trace"),
        _record("b-stop", "p2", "p1", 2, base_id="trace"),
        _record("a-stop", "p1", "trace", 3, base_id="trace"),
    ],
}


def cases(folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every case by its name."""
    for number, (name, records) in enumerate(TRACES.items()):
        store = f"sqlite:///{folder}/reports-{number}.db"
        yield f"report of {name}", lambda store=store, records=records: _report(store, records)
        for form in FORMS:
            trace = records[0]["base_id"]
            yield (
                f"{name} shown{' '.join(['', *form])}",
                lambda trace=trace, store=store, form=form: shown(form, store, trace, folder),
            )


def _report(store: str, records: list[dict[str, Any]]) -> Any:
    driver = base.get_driver(store)
    for record in records:
        driver.notify(record)
    return json.loads(json.dumps(driver.get_report(records[0]["base_id"]), default=str))


def shown(form: list[str], store: str, trace: str, folder: Path) -> list[str]:
    """What ``osprofiler trace show`` writes, by lines."""
    out = folder / "out"  # not the terminal, whose width would count
    complaints = io.StringIO()
    with contextlib.redirect_stderr(complaints), contextlib.suppress(SystemExit):
        shell.main(["trace", "show", trace, "--connection-string", store, *form, "--out", str(out)])
    return [*complaints.getvalue().splitlines(), *out.read_text("utf-8").splitlines()]
