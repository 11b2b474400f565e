# SPDX-License-Identifier: Apache-2.0
"""Ids in all notations find their trace, in a store and in a file. Ambiguous ids are listed."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler.cmd import shell
from osprofiler.drivers import base, lookup
from osprofiler.records import ids
from osprofiler.reports import model
from osprofiler.reports.views import html
from osprofiler.testing.records import OTHER, TRACE, record, span, two_spans

# A trace of another tracer, one with a short id, and one whose id is not a UUID.
FOREIGN = "0af76519-16cd-43dd-8448-eb211c80319c"
SHORT = "00000000-0000-0000-b7ad-6b7169203331"
NAMED = "nightly build"
ALIKE = [f"6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c{i:02x}" for i in range(0x20, 0x28)]

WAYS = [
    (TRACE, TRACE),
    (TRACE.upper(), TRACE),
    (f"  {TRACE}\n", TRACE),
    (TRACE.replace("-", ""), TRACE),
    (f"{{{TRACE}}}", TRACE),
    ("0AF7651916CD43DD8448EB211C80319C", FOREIGN),
    ("af7651916cd43dd8448eb211c80319c", FOREIGN),  # Jaeger's form
    (f"http://jaeger:16686/trace/{FOREIGN.replace('-', '')}?uiFind=b7ad6b7169203331", FOREIGN),
    (f"https://jaeger/base/api/traces/{FOREIGN.replace('-', '')}", FOREIGN),
    ("0af7", FOREIGN),
    ("0AF7651916CD4", FOREIGN),
    ("0af76519-16cd-4", FOREIGN),
    (str(int(OTHER.replace("-", ""), 16) & (1 << 64) - 1), OTHER),  # openstackclient's form
    (OTHER.replace("-", "")[16:], OTHER),
    ("b7ad6b7169203331", SHORT),
    (NAMED, NAMED),
    ("nightly", NAMED),
    ("latest", NAMED),
]


@pytest.fixture
def store(tmp_path: Path) -> base.Driver:
    driver = base.get_driver(f"sqlite:///{tmp_path / 'traces.db'}")
    for base_id in (TRACE, FOREIGN, SHORT, OTHER):
        driver.write(span(1, 0, base_id))
    driver.write(span(1, 5, NAMED))
    for base_id in ALIKE:
        driver.write(span(1, 0, base_id))
    return driver


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert shell.main(["trace", "show", "--json", *args]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


@pytest.mark.parametrize(("given", "base_id"), WAYS)
def test_every_way_to_say_it(
    given: str, base_id: str, store: base.Driver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--connection-string", store.connection_str]
    assert shown(capsys, given, *where)["info"]["base_id"] == base_id
    file = tmp_path / "traces.jsonl"
    assert shell.main(["trace", "export", "--out", str(file), *where]) == 0
    capsys.readouterr()
    assert shown(capsys, f"{file}#{given}")["info"]["base_id"] == base_id
    assert shell.main(["trace", "export", given, *where]) == 0
    assert {json.loads(line)["base_id"] for line in capsys.readouterr().out.splitlines()} == {base_id}
    assert shell.main(["trace", "delete", given, *where]) == 0
    assert base_id not in store.find_ids()


@pytest.mark.parametrize("command", [["show"], ["export"], ["delete"], ["critical-path"], ["stats"]])
def test_what_may_be_several_is_one_line_that_lists_them(
    command: list[str], store: base.Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.main(["trace", *command, "6b1f7f9e-4a36-4a53-9c0f", "--connection-string", store.connection_str]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"may be any of {', '.join([TRACE, *ALIKE[:4]])}, and 4 more")
    assert len(store.find_ids()) == 5 + len(ALIKE)


@pytest.mark.parametrize("command", ["show", "export", "delete", "critical-path"])
def test_a_trace_that_is_not_there_is_one_line_that_says_what_to_do(
    command: str, store: base.Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.main(["trace", command, "fff", "--connection-string", store.connection_str]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        f"osprofiler: no trace fff in {store.connection_str}; `osprofiler trace list` lists the traces."
    )


def test_a_whole_id_is_not_looked_for_in_part(store: base.Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(store, "find_ids", lambda prefix="", suffix="": asked.append(prefix) or [])
    absent = "11111111-2222-4333-8444-555555555555"
    assert lookup.find(store, absent, store.read) is None
    assert asked == []
    assert lookup.find(store, absent[:8], store.read) is None
    assert asked == [absent[:8]]


def test_the_database_looks_for_a_prefix_in_its_index(store: base.Driver) -> None:
    from sqlalchemy import event

    statements: list[Any] = []
    engine = store._database.engine()  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2:4]))
    assert store.find_ids("0af7") == [FOREIGN]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"explain query plan {statements[-1][0]}", statements[-1][1]).fetchall()
    assert "SEARCH data USING COVERING INDEX" in str(plan)


@given(st.text(max_size=40))
def test_any_text_may_be_asked_for(text: str) -> None:
    given = lookup.trace_id(text)
    assert given.among([*given.exact, "x"]) == [given.exact[0]]


@given(st.integers(1, (1 << 128) - 1), st.integers(1, 32), st.booleans())
def test_any_beginning_finds_its_trace(number: int, length: int, upper: bool) -> None:
    digits = f"{number:032x}"[:length]
    base_id = ids.uuid_text(number)
    assert lookup.trace_id(digits.upper() if upper else digits).among(["other", base_id]) == [base_id]


def test_a_span_by_its_id_its_beginning_and_jaegers() -> None:
    trace = model.from_records([*two_spans(), {**record(3, "start", 5), "trace_id": "no uuid"}])
    for one in trace.spans:
        number = f"{ids.span_id_of(one):016x}"
        for text in (
            one,
            one.upper() if one != "no uuid" else one,
            f" {one} ",
            number,
            number.upper(),
            number.lstrip("0"),
        ):
            assert lookup.span(trace, text) is trace.spans[one]
        # The search in the HTML report uses the same forms.
        assert f'"span id in Jaeger":"{number}"' in html.page(trace)
    assert lookup.span(trace, "no u") is trace.spans["no uuid"]
    assert lookup.span(trace, "fff") is None
    with pytest.raises(lookup.Ambiguous):
        lookup.span(trace, "6b1f7f9e")


def test_the_critical_path_of_a_span_by_jaegers_id(store: base.Driver, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["critical-path", FOREIGN, "--span", "0000000000000001", "--connection-string", store.connection_str]
    assert shell.main(["trace", *args]) == 0
    assert capsys.readouterr().out.startswith("Critical path of neutron-api")


def test_the_newest_trace_is_looked_for_no_further_than_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    class Timed(base.Driver):
        def candidates(self, wanted: base.Wanted) -> list[dict[str, Any]]:
            asked.append(wanted.since_us)
            return [{"base_id": "b", "timestamp": "2020-01-01T00:00:00"}] if len(asked) > 2 else []

    monkeypatch.setattr("time.time_ns", lambda: model.time_us("2020-01-02T00:00:00") * 1_000)
    assert list(lookup.latest(Timed("timed://"))) == ["b"]
    now_us = model.time_us("2020-01-02T00:00:00")
    assert asked == [now_us - step for step in lookup._STEPS_US]
