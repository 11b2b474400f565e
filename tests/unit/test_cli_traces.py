# SPDX-License-Identifier: Apache-2.0
"""The commands that look for traces, explain them, and carry them about, as their users run them."""

import argparse
import http.server
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osprofiler.cmd import argument_types, progress, shell
from osprofiler.drivers import base
from osprofiler.records.record import timestamp
from osprofiler.reports import files, model
from osprofiler.reports.views import json_report
from osprofiler.testing.records import OTHER, T0_US, TRACE, point, record, two_spans
from tests.unit.reports_kit import Made, records
from tests.unit.test_cli import OSPROFILER, OldDriver, run
from tests.unit.test_reports_model import chain
from tests.waiting import wait_until

HOUR_US = 3_600_000_000
THIRD = "11111111-2222-4333-8444-555555555555"


def moved(items: list[dict[str, Any]], base_id: str, by_us: int) -> list[dict[str, Any]]:
    """The same records as those of another trace, at another time."""
    return [
        {
            **each,
            "base_id": base_id,
            "trace_id": base_id[:8] + each["trace_id"][8:],
            "parent_id": base_id if each["parent_id"] == TRACE else base_id[:8] + each["parent_id"][8:],
            "timestamp": timestamp(model.time_us(each["timestamp"]) + by_us),
        }
        for each in items
    ]


BOOT = records(
    Made("boot", None, 0, 1_000),
    Made("build", "boot", 100, 900),
    Made("cast", "boot", 950, 960),
    Made("late", "cast", 1_500, 3_000, follows=True),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a file with three traces, each an hour after the one before; the second has an error."""
    url = f"sqlite:///{tmp_path / 'traces.db'}"
    driver = base.get_driver(url, service="nova-api")
    driver.write(BOOT)
    *earlier, stop = two_spans()
    tags = {"openstack.request_id": "req-1", "openstack.user_id": "u"}
    tagged = {**stop, "info": {**stop["info"], "osprofiler": {"tags": tags}}}
    driver.write(moved([*earlier, tagged], OTHER, HOUR_US))
    absent = {**BOOT[3], "info": {**BOOT[3]["info"], "requests": {"status_code": 404}}}
    asking = {**BOOT[0], "info": {**BOOT[0]["info"], "db": {"statement": "SELECT 1"}}}
    driver.write(moved([asking, *BOOT[1:3], absent], THIRD, 2 * HOUR_US))  # its cast never came
    monkeypatch.setenv("OSPROFILER_CONNECTION_STRING", url)
    return url


def printed(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> str:
    assert shell.main(["trace", *args]) == status
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    return [each["base_id"] for each in json.loads(printed(capsys, "list", "--json", *args))]


def stamp(hours: float) -> str:
    return timestamp(T0_US + int(hours * HOUR_US))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [TRACE, OTHER, THIRD]),
        (["--limit", "2"], [OTHER, THIRD]),
        (["--since", stamp(1)], [OTHER, THIRD]),
        (["--until", stamp(1)], [TRACE]),
        (["--since", stamp(0.5), "--until", stamp(1.5)], [OTHER]),
        (["--error-trace"], [OTHER]),
        (["--error-trace", "no"], [TRACE, OTHER, THIRD]),
        (["--service", "nova-api"], [OTHER]),
        (["--service", "s*"], [TRACE, THIRD]),
        (["--operation", "late"], [TRACE]),
        (["--operation", "bui??"], [TRACE, THIRD]),
        (["--service", "nova-api", "--operation", "late"], []),
        (["--min-duration", "2ms"], [TRACE]),
        (["--min-duration", "1ms"], [TRACE, OTHER, THIRD]),
        (["--operation", "build", "--min-duration", "900us"], []),
        (["--operation", "build", "--min-duration", "800us", "--limit", "1"], [THIRD]),
        (["--operation", "build", "--error-trace"], []),
        (["--http-status", "404"], [THIRD]),
        (["--http-status", "4XX"], [THIRD]),
        (["--http-status", "4xx", "--operation", "build"], [THIRD]),
        (["--http-status", "4xx", "--operation", "boot"], []),
        (["--http-status", "400"], []),
        (["--tag", "openstack.request_id=req-*"], [OTHER]),
        (["--tag", "openstack.request_id=req-1", "--tag", "openstack.user_id=u"], [OTHER]),
        (["--tag", "openstack.request_id=req-1", "--tag", "openstack.user_id=v"], []),
        (["--tag", "openstack.request_id=req-1", "--service", "s*"], []),
        (["--tag", "db.statement=SELECT *", "--tag", "span.kind=client"], [THIRD]),
    ],
)
def test_list_filters(options: list[str], found: list[str], store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, *options) == found


def test_list_long(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "list", "--long", "--until", stamp(1)).splitlines()
    assert [cell.strip() for cell in lines[3].split("|")[3:-1]] == ["3.00 ms", "4", "0", "0", "boot", "svc"]
    (found,) = json.loads(printed(capsys, "list", "--long", "--json", "--error-trace"))
    assert (found["errors"], found["duration_us"], found["services"]) == (1, 1_000, ["nova-api"])


def test_only_as_many_traces_are_read_as_are_wanted(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = type(base.get_driver(store))
    read: list[str] = []
    whole = driver.read_many
    monkeypatch.setattr(driver, "read_many", lambda self, base_ids: read.extend(base_ids) or whole(self, base_ids))
    assert shell.main(["trace", "list", "--operation", "build", "--limit", "1"]) == 0
    assert read == [THIRD]


def test_the_critical_path_of_a_client_that_is_not_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trace.jsonl"
    sent = records(Made("token", None, 0, 10), Made("boot", None, 100, 150), Made("status", None, 990, 1_000))
    file.write_text("".join(files.lines(sent)))
    text = printed(capsys, "critical-path", str(file))
    assert text.startswith("Critical path of 3 requests of one client: 1.00 ms through 3 spans\n")
    assert " ".join(text.splitlines()[3].split()) == "93.0 % 930 us client, between its requests"
    found = json.loads(printed(capsys, "critical-path", str(file), "--json"))
    assert found["spans"][0] == {
        "trace_id": None, "operation": "client, between its requests", "service": "", "self_us": 930, "waiting_us": 0,
    }  # fmt: skip
    assert [part["trace_id"] for part in found["sections"]] == [point(1), None, point(2), None, point(3)]
    page = printed(capsys, "show", str(file), "--html")
    assert '"paths":{"request":[[0,0,10,0],[1,100,150,0],[2,990,1000,0]]}' in page


class ListingDriver(OldDriver):
    """In the manner of 4.4.0: it lists, and cannot list errors."""

    @classmethod
    def get_name(cls) -> str:
        return "listingdriver"

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        return [{"base_id": base_id, "timestamp": timestamp(T0_US)} for base_id in (TRACE, OTHER)]


def test_filters_on_a_driver_that_knows_none(capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--connection-string", "listingdriver://"]
    assert listed(capsys, "--operation", "neutron-api", *store) == [TRACE]
    assert listed(capsys, "--service", "other", *store) == []
    assert printed(capsys, "delete", TRACE, *store, status=1) == ""
    assert printed(capsys, "purge", "--older-than", "1h", *store, status=1) == ""


def test_errors_of_a_driver_that_cannot_list_them(capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--connection-string", "listingdriver://"]
    assert listed(capsys, "--error-trace", "--long", *store) == [TRACE]
    assert listed(capsys, "--error-trace", *store) == [TRACE]
    assert OTHER not in printed(capsys, "export", "--error-trace", *store)


def test_the_critical_path(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "critical-path", TRACE).splitlines()
    assert lines[0] == "Critical path of boot [svc]: 1.00 ms through 3 spans"
    assert lines[1] == "The trace continues for 2.00 ms after that; no span waits for this part: see --whole"
    assert [line.split() for line in lines[4:]] == [
        ["80.0", "%", "800", "us", "800", "us", "build", "[svc]"],
        ["19.0", "%", "190", "us", "1.00", "ms", "boot", "[svc]"],
        ["1.0", "%", "10", "us", "10", "us", "cast", "[svc]"],
    ]
    by_time = printed(capsys, "critical-path", TRACE, "--sections", "--whole", "--rows", "2").splitlines()
    assert by_time[0] == "Critical path of the whole trace: 3.00 ms through 4 spans"
    assert by_time[-1] == "... and 4 sections more"
    found = json.loads(printed(capsys, "critical-path", TRACE, "--json", "--whole"))
    assert [(part["from_us"], part["to_us"], part["waiting"]) for part in found["sections"]][-2:] == [
        (960, 1_500, True),
        (1_500, 3_000, False),
    ]
    assert sum(span["self_us"] + span["waiting_us"] for span in found["spans"]) == found["duration_us"] == 3_000
    one = json.loads(printed(capsys, "critical-path", TRACE, "--json", "--span", point(2)))
    assert [span["operation"] for span in one["spans"]] == ["build"]


def test_diff(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "diff", TRACE, THIRD, "--json"))
    steps = {step["operation"]: step for step in found["steps"]}
    assert {name: step["kind"] for name, step in steps.items()} == {
        "boot": "slower",  # the 10 us that the cast took were not its own
        "build": "same",
        "cast": "vanished",
        "late": "vanished",
    }
    assert found["steps"][steps["late"]["above"]]["operation"] == "cast"


def test_the_page_of_two_traces_has_their_steps_and_their_change(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)  # two traces need no rank test
    page = printed(capsys, "diff", TRACE, THIRD, "--html")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    steps = [operation for _, operation, _ in data["steps"]]
    assert [view["name"] for view in data["views"]] == ["both", "before", "after"]
    changes = {steps[i]: cells[0].split()[0] for i, cells in data["views"][0]["rows"]}
    kinds = {
        step["operation"]: step["kind"] for step in json.loads(printed(capsys, "diff", TRACE, THIRD, "--json"))["steps"]
    }
    assert changes == kinds
    calm = printed(capsys, "diff", TRACE, TRACE, "--html", "--min-change", "1ms")
    assert "no step changed" in calm


@pytest.mark.parametrize(("form", "key"), [("--perfetto", "traceEvents"), ("--speedscope", "profiles")])
def test_files_for_other_viewers(store: str, capsys: pytest.CaptureFixture[str], form: str, key: str) -> None:
    assert json.loads(printed(capsys, "show", TRACE, form))[key]


def test_diff_in_words(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "diff", THIRD, TRACE).splitlines()
    assert lines[lines.index("appeared") + 2].split() == ["+1.50", "ms", "+1.50", "ms", "0", "->", "1", "late", "[svc]",
                                                          "under", "cast"]  # fmt: skip
    assert printed(capsys, "diff", TRACE, TRACE).splitlines()[-1] == "No difference: the same steps, in the same time."


def test_stats(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "stats").splitlines()
    heads = ["count", "total", "self", "p50", "p95", "p99", "max", "errors", "unfinished", "spread", "operation"]
    assert lines[0].split() == heads
    found = {each["operation"]: each for each in json.loads(printed(capsys, "stats", "--json"))}
    assert (found["build"]["count"], found["build"]["total_us"]) == (2, 1_600)
    assert found["neutron-api"]["errors"] == 1
    chosen = json.loads(printed(capsys, "stats", "--json", "--error-trace"))
    assert [each["operation"] for each in chosen] == ["neutron-api"]
    one = json.loads(printed(capsys, "stats", TRACE, THIRD, "--json"))
    assert "neutron-api" not in {each["operation"] for each in one}


def test_export_and_import_carry_everything(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, other = tmp_path / "all.jsonl", f"sqlite:///{tmp_path / 'other.db'}"
    assert printed(capsys, "export", "--out", str(file)) == ""
    printed(capsys, "import", str(file), "--connection-string", other)
    printed(capsys, "import", str(file), "--connection-string", other)  # once more changes nothing
    for base_id in TRACE, OTHER, THIRD:
        assert base.get_driver(other).get_report(base_id) == base.get_driver(store).get_report(base_id)
    assert len(file.read_text().splitlines()) == 8 + 4 + 4


def test_export_chooses(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = {json.loads(line)["base_id"] for line in printed(capsys, "export", OTHER).splitlines()}
    assert ids == {OTHER}
    ids = {json.loads(line)["base_id"] for line in printed(capsys, "export", "--operation", "build").splitlines()}
    assert ids == {TRACE, THIRD}
    other = f"sqlite:///{tmp_path / 'other.db'}"
    printed(capsys, "export", "--limit", "1", "--to", other)
    assert listed(capsys, "--connection-string", other) == [THIRD]


@pytest.mark.parametrize("form", ["--json", "--jaeger-json"])
def test_what_show_writes_can_be_imported(form: str, store: str, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    file, other = tmp_path / "one", f"sqlite:///{tmp_path / 'other.db'}"
    printed(capsys, "show", TRACE, form, "--out", str(file))
    printed(capsys, "import", str(file), "--connection-string", other)
    found, wanted = (base.get_driver(url).get_report(TRACE) for url in (other, store))
    assert _shape(found) == _shape(wanted)


def _shape(report: dict[str, Any]) -> Any:
    trace = json_report.from_report(report)
    return [
        (depth, span.operation, span.start_us, span.duration_us, span.detached, span.service)
        for depth, span in trace.walk()
    ]


def test_a_file_wherever_an_id_is(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = tmp_path / "many.jsonl"
    printed(capsys, "export", "--out", str(many))
    one = tmp_path / "one.json"
    printed(capsys, "show", TRACE, "--jaeger-json", "--out", str(one))
    for command in ["show"], ["critical-path"], ["stats"]:
        assert printed(capsys, *command, str(one)) == printed(capsys, *command, f"{many}#{TRACE}")
        assert printed(capsys, *command, TRACE) == printed(capsys, *command, f"{many}#{TRACE}")
    assert printed(capsys, "diff", str(one), THIRD) == printed(capsys, "diff", TRACE, f"{many}#{THIRD}")
    assert len(json.loads(printed(capsys, "stats", str(many), "--json"))) == 5
    assert shell.main(["trace", "show", str(many)]) == 2
    assert "holds 3 traces; name one" in capsys.readouterr().err


def test_delete(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", "delete", TRACE, THIRD]) == 0
    assert "2 traces removed" in capsys.readouterr().err
    assert listed(capsys) == [OTHER]
    assert shell.main(["trace", "delete", TRACE, OTHER]) == 1
    assert TRACE in capsys.readouterr().err
    assert listed(capsys) == []


def test_purge(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    driver = base.get_driver(store)
    now_us = time.time_ns() // 1000
    for base_id in TRACE, OTHER, THIRD:
        driver.delete(base_id)
    driver.write(moved(BOOT, TRACE, now_us - T0_US - 30 * HOUR_US))
    driver.write(moved(BOOT, OTHER, now_us - T0_US - 10 * HOUR_US))
    assert shell.main(["trace", "purge", "--older-than", "1d", "--dry-run"]) == 0
    assert "1 trace that began before" in capsys.readouterr().err
    assert listed(capsys) == [TRACE, OTHER]
    assert shell.main(["trace", "purge", "--older-than", "1d"]) == 0
    assert listed(capsys) == [OTHER]
    assert shell.main(["trace", "purge", "--older-than", "0s"]) == 0
    assert listed(capsys) == []


def test_purge_of_many_and_of_any_driver(tmp_path: Path) -> None:
    for purge in type(base.get_driver("sqlite:////x")).purge, base.Driver.purge:
        driver = base.get_driver(f"sqlite:///{tmp_path / purge.__qualname__}.db")
        driver.write([record(1, "start", i, f"{i:032x}") for i in range(1_300)])
        assert purge(driver, T0_US + 1_201) == 1_201
        assert len(driver.list_traces()) == 99
        assert purge(driver, T0_US) == 0


BAD_USE = [
    (["list", "--since", "yesterday"], 2),
    (["list", "--limit", "0"], 2),
    (["list", "--limit", "99999999999999999999"], 2),
    (["list", "--min-duration", "5"], 2),
    (["list", "--min-duration", "999999999w"], 2),
    (["purge"], 2),
    (["purge", "--older-than", "-1d"], 2),
    (["delete"], 2),
    (["diff", TRACE], 2),
    (["diff", TRACE, "nothing"], 1),
    (["stats", "nothing"], 1),
    (["critical-path", TRACE, "--span", "nothing"], 1),
    (["critical-path", TRACE, "--span", point(1), "--whole"], 2),
    (["export", "nothing"], 1),
    (["export", "--to", "nonsense"], 2),
    (["export", "--to", "sqlite:////nonsense/x", "--out", "x"], 2),
    (["export", "--to", "mysql+pymysql://u:s3cret@127.0.0.1:1/x"], 1),
    (["import"], 2),
    (["import", "/nonsense/file"], 2),
    (["list", "--tag", "=x"], 2),
    (["list", "--tag", "x"], 2),
    (["show", TRACE, "--jaeger-json", "--html"], 2),
    (["show", TRACE, "--perfetto", "--speedscope"], 2),
    (["diff", TRACE, THIRD, "--json", "--html"], 2),
    (["show", "{store}.jsonl"], 2),
]


@pytest.mark.parametrize(("args", "status"), BAD_USE, ids=[" ".join(args) for args, _ in BAD_USE])
def test_what_goes_wrong_is_one_line(args: list[str], status: int, store: str) -> None:
    done = run("trace", *(arg.format(store=store) for arg in args), "--connection-string", store)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert done.stderr.startswith("osprofiler")
    assert "s3cret" not in done.stderr


COMMANDS = ("list", "show", "critical-path", "diff", "stats", "export", "import", "delete", "purge")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        shell.main(["trace", command, "--help"])
    assert f"examples:\n  osprofiler trace {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "us"),
    [("5us", 5), ("250ms", 250_000), ("1.5s", 1_500_000), ("2 min", 120_000_000), ("30m", 1_800_000_000),
     ("2h", 2 * HOUR_US), ("7d", 168 * HOUR_US), ("1W", 168 * HOUR_US), ("0s", 0)],
)  # fmt: skip
def test_lengths_of_time(text: str, us: int) -> None:
    assert argument_types.length_us(text) == us


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1e3s", "1 year", "\u0661s", "9" * 400 + "s"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        argument_types.length_us(text)


@pytest.mark.parametrize(
    ("text", "stamp"),
    [("2026-11-20", "2026-11-20T00:00:00.000000"), ("2026-11-20T21:46", "2026-11-20T21:46:00.000000"),
     ("2026-11-20 21:46:01.5", "2026-11-20T21:46:01.500000"), ("2026-11-20T21:46Z", "2026-11-20T21:46:00.000000"),
     ("2026-11-20T21:46+02:00", "2026-11-20T19:46:00.000000")],
)  # fmt: skip
def test_moments(text: str, stamp: str) -> None:
    try:
        found = argument_types.moment_us(text)
    except argparse.ArgumentTypeError:  # before 3.11 fractions have three or six digits
        found = argument_types.moment_us(text + "00")
    assert timestamp(found) == stamp


def test_a_deep_and_a_wide_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, file = f"sqlite:///{tmp_path / 'deep.db'}", str(tmp_path / "file")
    base.get_driver(store).write(chain(10_000))
    for command in ["show", "--jaeger-json"], ["critical-path", "--json"], ["stats"], ["export"]:
        printed(capsys, command[0], TRACE, *command[1:], "--connection-string", store)
    printed(capsys, "show", TRACE, "--json", "--out", file, "--connection-string", store)
    assert printed(capsys, "diff", TRACE, file, "--connection-string", store).endswith("in the same time.\n")


def test_progress_is_for_terminals_and_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_QUIET_S", 0.01)
    monkeypatch.setattr(progress, "_BETWEEN_S", 0.01)
    main, worker = pty.openpty()
    shown: list[bytes] = []
    with os.fdopen(worker, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with progress.Progress("reading") as work:
            for _ in work.over(range(2), 2):
                pass
            wait_until(lambda: shown.append(os.read(main, 1000)) or b"reading, 2 of 2 (" in b"".join(shown))
        wait_until(lambda: b"".join(shown).endswith(b"\r\x1b[K") or shown.append(os.read(main, 1000)))
    os.close(main)


def test_progress_says_nothing_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_QUIET_S", 0.0)
    with progress.Progress("reading") as work:
        assert work._thread is None
    assert capsys.readouterr().err == ""


def test_the_module_runs_as_a_command(store: str) -> None:
    done = subprocess.run([*OSPROFILER, "trace", "critical-path", TRACE], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Critical path of boot")


def test_the_embedded_store_is_named_once(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OSPROFILER_CONNECTION_STRING")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "osprofiler").mkdir()
    (tmp_path / "traces.db").rename(tmp_path / "osprofiler" / "traces.db")
    for more in "-wal", "-shm":
        if (tmp_path / f"traces.db{more}").exists():
            (tmp_path / f"traces.db{more}").rename(tmp_path / "osprofiler" / f"traces.db{more}")
    assert shell.main(["trace", "diff", TRACE, THIRD]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_looked_for_does_not_label_what_is_exported(tmp_path: Path) -> None:
    source, target = (f"sqlite:///{tmp_path / name}.db" for name in ("from", "to"))
    named, nameless = two_spans()[::3], two_spans()[1:3]
    base.get_driver(source).write([*({**each, "service": "nova-api"} for each in named), *nameless])

    args = ["trace", "export", "--service", "nova-*", "--connection-string", source, "--to", target]
    assert shell.main(args) == 0

    found = base.get_driver(target).read(TRACE)
    assert sorted(str(each.get("service")) for each in found) == ["None", "None", "nova-api", "nova-api"]


def test_a_file_survives_an_export_that_finds_nothing(store: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    assert shell.main(["trace", "export", TRACE, "--out", str(kept)]) == 0
    before = kept.read_text()
    assert shell.main(["trace", "export", TRACE.replace("6", "7"), "--out", str(kept)]) == 1
    assert kept.read_text() == before


@pytest.mark.parametrize("command", [["list"], ["list", "--long"], ["list", "--json"], ["stats"], ["export"]])
def test_an_empty_list_says_what_was_empty(
    command: list[str], store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.main(["trace", *command]) == 0
    assert capsys.readouterr().err == ""
    status = 1 if command == ["stats"] else 0  # there is nothing to compute
    assert shell.main(["trace", *command, "--until", stamp(0)]) == status
    assert capsys.readouterr().err == f"osprofiler: no traces that match the options in {store}\n"
    url = f"sqlite:///{tmp_path}/empty.db"
    base.get_driver(url).write(BOOT)
    assert base.get_driver(url).delete(TRACE)
    monkeypatch.setenv("OSPROFILER_CONNECTION_STRING", url)
    assert shell.main(["trace", *command]) == status
    assert capsys.readouterr().err == f"osprofiler: no traces in {url}\n"


@contextmanager
def query_service(status: int, body: bytes) -> Iterator[str]:
    """The connection string of a query service with an account, all of whose responses are these."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"jaeger://127.0.0.1?query=http://u:s3cret@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_reason_of_a_query_service_that_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    body = {"data": None, "errors": [{"code": 500, "msg": "the index is closed for s3cret\nat line 7"}]}
    with query_service(500, json.dumps(body).encode()) as url:
        assert shell.main(["trace", "list", "--connection-string", url]) == 1
    printed = capsys.readouterr().err
    assert "HTTP status 500: the index is closed for " in printed
    assert "s3cret" not in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"denied", b'{"data": null}'])
def test_a_query_service_that_refuses_us(status: int, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with query_service(status, body) as url:
        assert shell.main(["trace", "list", "--connection-string", url]) == 1
    printed = capsys.readouterr().err
    assert f"refuses us (HTTP status {status})" in printed
    assert all(option in printed for option in ("user:password@", "?query_token=", "?token="))
    assert "s3cret" not in printed


def test_a_query_service_that_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", "list", "--connection-string", "jaeger://127.0.0.1?query=http://127.0.0.1:1"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith("osprofiler: cannot read http://127.0.0.1:1: ")
    assert "?query=http://host:16686" in message


def test_a_copy_that_ends_at_an_unknown_trace_says_how_much_it_wrote(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"sqlite:///{tmp_path}/to.db"
    for option in ["--to", target], ["--out", str(tmp_path / "to.jsonl")]:
        assert shell.main(["trace", "export", TRACE, TRACE.replace("6", "7"), *option]) == 1
        assert f"osprofiler: only 1 trace written into {option[1]}\n" in capsys.readouterr().err
    assert len(base.get_driver(target).list_traces()) == 1


def test_a_copy_from_a_store_that_is_down_names_that_store(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = "opensearch://127.0.0.1:1", f"sqlite:///{tmp_path}/to.db"
    assert shell.main(["trace", "export", TRACE, "--connection-string", source, "--to", target]) == 1
    assert capsys.readouterr().err.startswith(f"osprofiler: cannot read {source}: ")
