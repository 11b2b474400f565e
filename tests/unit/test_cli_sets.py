# SPDX-License-Identifier: Apache-2.0
"""The commands for sets of traces, as their users run them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from osprofiler import reports
from osprofiler.cmd import follow, set_processes, set_work, sets, shell
from osprofiler.drivers import base, search
from osprofiler.drivers.errors import StoreError
from osprofiler.records.record import timestamp
from osprofiler.reports import files, model
from osprofiler.testing.records import T0_US, record
from tests.unit import boots
from tests.unit.test_cli import OSPROFILER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boots of two days: a file of records for each, and a folder of Jaeger's JSON of the second."""
    made = tmp_path_factory.mktemp("sets")
    days = {"monday": range(30), "tuesday": range(30, 60)}
    for day, seeds in days.items():
        with (made / f"{day}.jsonl").open("w") as file:
            for seed in seeds:
                file.writelines(files.lines(records(day, seed)))
    (made / "jaeger" / "more").mkdir(parents=True)
    for seed in days["tuesday"]:
        place = made / "jaeger" / ("more" if seed % 2 else "") / f"{seed}.json"
        place.write_text("".join(reports.jaeger_text(reports.from_records(records("tuesday", seed)))))
    return made


def records(day: str, seed: int) -> list[dict[str, Any]]:
    slower = {"verify_checksum": 1.4} if day == "tuesday" else {}
    return boots.records(seed, slower, "rpc build" if seed % 10 == 0 else "", release=day)


def printed(capsys: pytest.CaptureFixture[str], *args: object, status: int = 0) -> str:
    assert shell.main(["trace", *map(str, args)]) == status
    return capsys.readouterr().out


def test_the_critical_path_of_a_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "critical-path", folder / "monday.jsonl", "--rows", 3)
    assert "Critical path of 30 traces (all): times a trace, on average\n" in text
    first = text.splitlines()[text.splitlines().index("") + 3]
    assert first.endswith("verify_checksum [demo-image] under wsgi HEAD")
    assert "ValueError in rpc build" in text
    made = json.loads(printed(capsys, "critical-path", folder / "monday.jsonl", "--json"))
    assert made["traces"] == 30
    assert {name: group["traces"] for name, group in made["groups"].items()} == {
        "p50": 15, "p90": 27, "p95": 29, "p99": 30, "all": 30, "slowest": 1, "failed": 3,
    }  # fmt: skip
    (error,) = made["errors"]
    assert (error["traces"], error["failed_requests"]) == (3, 0)
    contexts = made["contexts"]
    (checksum,) = [row for row in made["groups"]["all"]["steps"] if row["operation"] == "verify_checksum"]
    above = contexts[contexts[checksum["context"]]["above"]]
    assert (above["service"], above["operation"]) == ("demo-image", "wsgi HEAD")
    assert [each["operation"] for each in contexts if each["above"] is None] == ["boot"]


def test_the_json_of_a_deep_trace_grows_with_its_spans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []
    for depth in 500, 1_000:
        chain = [record(i, "start", i, parent=i - 1) for i in range(1, depth)]
        chain += [record(i, "stop", 2 * depth - i, parent=i - 1) for i in range(1, depth)]
        sides = tmp_path / f"{depth}.jsonl", tmp_path / f"{depth}-again.jsonl"
        for file in sides:
            file.write_text("".join(f"{json.dumps(each)}\n" for each in chain))
        pieces = printed(capsys, "critical-path", *sides, "--json"), printed(capsys, "diff", *sides, "--json")
        sizes.append(sum(map(len, pieces)))
    assert sizes[1] < 2.2 * sizes[0]


def test_folders_and_files_are_one_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_file = printed(capsys, "critical-path", folder / "tuesday.jsonl", "--json")
    assert (
        json.loads(printed(capsys, "critical-path", folder / "jaeger", "--json"))["groups"]
        == json.loads(of_file)["groups"]
    )
    both = json.loads(printed(capsys, "critical-path", folder / "monday.jsonl", folder / "jaeger", "--json"))
    assert both["traces"] == 60


def share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes read every set, in small batches."""
    monkeypatch.setattr(set_work, "_WORTH_BYTES", 0)
    monkeypatch.setattr(set_work, "_WORTH_TRACES", 1)
    monkeypatch.setattr(set_work, "_TRACES_AT_ONCE", 7)
    monkeypatch.setattr(set_work.os, "sched_getaffinity", lambda _: {0, 1})


def test_large_folders_are_read_by_several_processes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "jaeger" / "broken.json").write_text("{")
    try:
        alone = printed(capsys, "critical-path", folder / "jaeger", "--json")
        share_the_work(monkeypatch)
        assert shell.main(["trace", "critical-path", str(folder / "jaeger"), "--json"]) == 0
        output = capsys.readouterr()
        assert output.out == alone
        assert "broken.json is left out" in output.err
    finally:
        (folder / "jaeger" / "broken.json").unlink()


def test_a_batch_of_a_large_folder_is_small_if_its_files_are_large(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what was read until an interrupt is little less than what was begun."""
    taken: list[int] = []
    whole = set_processes.parts

    def parts(processes: int, reader: Any, work: Any, batches: Iterable[Any]) -> Iterator[Any]:
        return whole(processes, reader, work, (taken.append(len(batch)) or batch for batch in batches))  # type: ignore[func-returns-value]

    share_the_work(monkeypatch)
    monkeypatch.setattr(set_processes, "parts", parts)
    alone = printed(capsys, "map", folder / "jaeger", "--json")
    monkeypatch.setattr(set_work, "_BYTES_AT_ONCE", 1)
    assert printed(capsys, "map", folder / "jaeger", "--json") == alone
    assert taken == [20, 10, *[1] * 30]


def test_the_example_in_the_help_compares_two_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "diff", folder / "monday.jsonl", folder / "tuesday.jsonl")
    assert text.splitlines()[0].startswith("before  30 traces  median ")
    assert text.splitlines()[3].startswith("slower +")
    assert text.splitlines()[3].endswith("verify_checksum [demo-image] under wsgi HEAD")
    assert len(text.strip().splitlines()) == 4


def test_sets_by_a_tag_and_by_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = folder / "monday.jsonl", folder / "tuesday.jsonl"
    (pair,) = json.loads(printed(capsys, "diff", *both, "--group-by", "release", "--json"))
    assert [pair["before"], pair["after"]] == [{"name": "monday", "traces": 30}, {"name": "tuesday", "traces": 30}]
    first = pair["steps"][0]
    assert (first["operation"], first["kind"]) == ("verify_checksum", "slower")
    at = reports.load(folder / "tuesday.jsonl")[0].start_us
    (by_time,) = json.loads(printed(capsys, "diff", *both, "--before", timestamp(at), "--json"))
    assert by_time["steps"] == pair["steps"]


def test_what_a_tag_cannot_group_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monday, untagged = str(folder / "monday.jsonl"), tmp_path / "untagged.jsonl"
    untagged.write_text("".join(files.lines(boots.records(99))))
    command = ["trace", "diff", monday, str(untagged), "--group-by"]
    assert shell.main([*command, "nothing"]) == 2
    assert capsys.readouterr() == ("", "osprofiler: no trace has the tag 'nothing': there is nothing to compare\n")
    assert shell.main([*command, "release"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "osprofiler: left out: 1 trace without the tag 'release'",
        "osprofiler: the tag 'release' has only the value 'monday': there is nothing to compare",
    ]


def test_sets_that_are_too_small_are_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = tmp_path / "three.jsonl"
    three.write_text("".join(line for seed in range(3) for line in files.lines(records("monday", seed))))
    small = "o step changed for sure: a set of fewer than 4 traces cannot show a change"
    assert f"\nN{small}.\n" in printed(capsys, "diff", three, folder / "tuesday.jsonl")
    assert f"n{small}" in printed(capsys, "diff", three, folder / "tuesday.jsonl", "--html")


def test_folded_stacks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(printed(capsys, "critical-path", folder / "monday.jsonl", "--json"))["groups"]["slowest"]
    lines = printed(capsys, "critical-path", folder / "monday.jsonl", "--group", "slowest", "--folded").splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == made["duration_us"]
    assert lines[0].startswith("boot [demo-client];http POST [demo-client];")
    for line in printed(capsys, "diff", folder / "monday.jsonl", folder / "jaeger", "--folded").splitlines():
        stack, before, after = line.rsplit(" ", 2)
        assert stack.startswith("boot [demo-client]")
        assert int(before) >= 0 <= int(after)


@pytest.fixture
def store(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> base.Driver:
    url = f"sqlite:///{tmp_path / 'traces.db'}"
    driver = base.get_driver(url)
    for trace in files.records(folder / "monday.jsonl"):
        driver.write(trace)
    monkeypatch.setenv("OSPROFILER_CONNECTION_STRING", url)
    return driver


@pytest.mark.parametrize(
    "command",
    [
        ["critical-path", "--limit", "20"],
        ["stats", "--by", "day", "--service", "demo-image"],
        ["map", "--sample", "10"],
        ["diff", "--before", timestamp(T0_US + 150_000_000)],
    ],
)
def test_large_stores_are_read_by_several_processes(
    command: list[str], store: base.Driver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = printed(capsys, *command, "--json")
    share_the_work(monkeypatch)
    assert printed(capsys, *command, "--json") == alone


def count(capsys: pytest.CaptureFixture[str], *options: str) -> int:
    return int(json.loads(printed(capsys, "critical-path", "--json", *options))["traces"])


def test_a_search_is_a_set(store: base.Driver, capsys: pytest.CaptureFixture[str]) -> None:
    assert count(capsys) == 30
    assert count(capsys, "--error") == 3
    assert count(capsys, "--tag", "release=m*", "--limit", "4") == 4
    assert printed(capsys, "critical-path", "--operation", "nothing", status=1) == ""


def test_a_sample_is_the_same_in_each_run(
    folder: Path, store: base.Driver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for names in (), (str(folder / "monday.jsonl"),):
        one, other = (printed(capsys, "stats", *names, "--sample", "5", "--json") for _ in range(2))
        assert one == other
        assert {each["count"] for each in json.loads(one)} == {5, 10}
    reads: list[str] = []
    whole = type(store).read_many
    monkeypatch.setattr(type(store), "read_many", lambda self, ids: reads.extend(ids) or whole(self, ids))
    printed(capsys, "stats", "--sample", "5")
    assert len(reads) == 5
    lists: list[search.Wanted] = []
    newest = search.identified
    monkeypatch.setattr(search, "identified", lambda driver, wanted: lists.append(wanted) or newest(driver, wanted))
    assert count(capsys, "--tag", "release=m*", "--limit", "4", "--sample", "2") == 2
    assert [wanted.limit for wanted in lists] == [4]


LAST_OF_MONDAY = {records("monday", seed)[0]["base_id"] for seed in range(27, 30)}


@pytest.mark.parametrize("options", [[], ["--sample", "3"], ["--sample", "9"]])
@pytest.mark.parametrize("tag", [[], ["--tag", "release=m*"]], ids=["any", "tag"])
def test_a_limit_chooses_the_newest_traces_of_a_store_and_of_files(
    tag: list[str], options: list[str], folder: Path, store: base.Driver, tmp_path: Path
) -> None:
    for names in [], [folder / "monday.jsonl"]:
        table = tmp_path / f"{len(names)}.parquet"
        command = ["trace", "export", *names, "--limit", "3", *tag, *options, "--parquet", table]
        assert shell.main([*map(str, command)]) == 0
        assert set(parquet.read_table(table)["trace_id"].to_pylist()) == LAST_OF_MONDAY


@pytest.mark.parametrize("command", ["critical-path", "diff", "map", "stats", "export"])
def test_an_empty_set_is_an_error_from_a_store_and_from_a_file(
    command: str, folder: Path, store: base.Driver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"diff": ["--group-by", "host"], "export": ["--parquet", str(tmp_path / "made")]}.get(command, [])
    for names in [], [str(folder / "monday.jsonl")]:
        assert shell.main(["trace", command, *names, *options, "--operation", "nothing"]) == 1
        where = names[0] if names else store.connection_str
        assert capsys.readouterr() == ("", f"osprofiler: no traces that match the options in {where}\n")


def test_one_trace_keeps_its_output(folder: Path, store: base.Driver, capsys: pytest.CaptureFixture[str]) -> None:
    base_id = reports.load(folder / "monday.jsonl")[0].base_id
    text = printed(capsys, "critical-path", base_id)
    assert text.startswith("Critical path of boot [demo-client]: ")
    assert printed(capsys, "critical-path", f"{folder / 'monday.jsonl'}#{base_id}") == text


def test_statistics_by_period(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    periods = json.loads(printed(capsys, "stats", folder / "monday.jsonl", "--by", "hour", "--json"))
    assert [period["traces"] for period in periods] == [30, 30]
    assert periods[1]["period"] == "2026-11-18 11:00"
    assert sum(periods[0]["operations"][0]["counts"]) == 30
    assert "\n2026-11-18 UTC, 30 traces\n" in printed(capsys, "stats", folder / "monday.jsonl", "--by", "day")


@pytest.mark.parametrize(
    "command", [["critical-path"], ["stats", "--by", "day"], ["map"], ["diff", "--group-by", "release"]]
)
def test_pages(command: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    both = folder / "monday.jsonl", folder / "tuesday.jsonl"
    assert printed(capsys, *command, *both, "--html", "--out", page) == ""
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page.read_text()


def test_what_is_not_in_a_set_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lone = tmp_path / "lone.jsonl"
    lone.write_text("".join(files.lines(boots.records(1)[:1])))
    for folded in [], ["--folded"]:
        command = ["trace", "critical-path", str(lone), "--limit", "1", "--group", "failed", *folded]
        assert shell.main(command) == 0
        assert capsys.readouterr() == ("", "osprofiler: no trace of the set failed\n")
    assert printed(capsys, "map", lone) == "No service calls another one.\n"
    assert shell.main(["trace", "stats", f"{tmp_path}/none/"]) == 2
    assert capsys.readouterr().err == f"osprofiler: cannot read {tmp_path}/none: No such file or directory\n"
    assert shell.main(["trace", "stats", "none/"]) == 2
    assert capsys.readouterr().err == "osprofiler: cannot read none: No such file or directory\n"


def test_one_of_a_thing_has_no_plural(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = [folder / "monday.jsonl", "--limit", 1]
    for command in ["critical-path", "--html"], ["stats", "--html"], ["map", "--html"], ["map", "--dot"]:
        text = printed(capsys, *command, *one)
        assert re.findall(r"\b1 (?:trace|span|call|step)s\b", text) == []


def test_following_shows_what_is_new_and_what_changed(tmp_path: Path) -> None:
    driver = base.get_driver(f"sqlite:///{tmp_path / 'traces.db'}")
    old, new = boots.records(1), boots.records(2)
    driver.write(old)
    since_us = model.time_us(new[0]["timestamp"])
    follower = follow.Follower(driver, search.Wanted(), since_us)

    def looked(now_us: int = since_us) -> list[tuple[int, int]]:
        seen = list(follower.look(now_us))
        return [(len(trace.spans), sum(not span.finished for span in trace.spans.values())) for trace in seen]

    assert looked() == []
    driver.write(new[:3])
    assert looked() == [(3, 3)]
    assert looked() == []
    driver.write(new[3:])
    assert looked() == [(17, 0)]
    reads = []
    whole = driver.read
    driver.read = lambda base_id: reads.append(base_id) or whole(base_id)  # type: ignore[method-assign,func-returns-value]
    assert looked() == looked() == []
    assert len(reads) == 1  # once more to see that it stays as it is
    assert looked(since_us + 2 * 600_000_000) == []


def test_following_prints_until_an_interrupt(folder: Path, store: base.Driver) -> None:
    command = [*OSPROFILER, "trace", "list", "--follow", "--since", "2020-01-01", "--interval", "10ms", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(30)]
        store.write([{**boots.records(999)[0], "timestamp": timestamp(time.time_ns() // 1000)}])
        last = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
    assert {line["spans"] for line in lines} == {17}
    assert [span["operation"] for span in last["running"]] == ["boot"]
    assert process.returncode == 130


@pytest.mark.parametrize(
    "args",
    [
        ["critical-path", "{folder}/monday.jsonl", "--whole"],
        ["critical-path", "{folder}/monday.jsonl", "--json", "--html"],
        ["critical-path", "{folder}/monday.jsonl", "--html", "--link", "javascript:alert(1)//{id}"],
        ["critical-path", "{folder}/jaeger/more/../empty"],
        ["diff", "{folder}/monday.jsonl"],
        ["diff", "--before", "1h", "--group-by", "host"],
        ["diff", "--before", "1h", "--after", "2h"],
        *(["list", "--follow", *more] for more in (["--limit", "3"], ["--long"], ["--interval", "0ms"])),
    ],
)
def test_bad_use(args: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", *(arg.replace("{folder}", str(folder)) for arg in args)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_scipy_one_line_says_what_to_install(folder: Path) -> None:
    blocked = "import sys; sys.modules['scipy'] = None; from osprofiler.cmd.shell import main; sys.exit(main())"
    command = [sys.executable, "-c", blocked, "trace", "diff", str(folder / "monday.jsonl"), str(folder / "jaeger")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "osprofiler: comparing sets of traces needs SciPy: pip install 'osprofiler[analysis]'\n"


def interrupted(fault: BaseException) -> Iterator[tuple[int, str]]:
    yield 1, "one"
    yield 2, "two more"
    raise fault


def test_interrupted_work_says_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[str] = []
    assert sets.gather(interrupted(KeyboardInterrupt()), taken.append) == 130
    assert taken == ["one", "two more"]
    assert capsys.readouterr().err == "osprofiler: interrupted; this is of 3 traces read until then\n"
    assert sets.gather(interrupted(StoreError("gone")), taken.append) == 1
    assert "the store failed: gone; this is of 3 traces" in capsys.readouterr().err
    assert sets.gather(interrupted(sets.ReaderDied("a process was killed")), taken.append) == 1
    assert "osprofiler: a process was killed; this is of 3 traces" in capsys.readouterr().err


@pytest.mark.parametrize(("fault", "status"), [(KeyboardInterrupt(), 130), (StoreError("it is gone"), 1)])
def test_a_copy_that_ends_early_says_how_much_it_has(
    fault: BaseException,
    status: int,
    store: base.Driver,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = type(store).read_many

    def failing(self: base.Driver, ids: Sequence[str]) -> Iterator[Any]:
        in_order = sorted(whole(self, ids), key=lambda item: ids.index(item[0]))
        yield from in_order[:7]
        raise fault

    monkeypatch.setattr(type(store), "read_many", failing)
    file, other = tmp_path / "some.jsonl", f"sqlite:///{tmp_path / 'some.db'}"
    for target in ["--out", str(file)], ["--to", other], []:
        assert shell.main(["trace", "export", *target]) == status
        where = target[1] if target else "standard output"
        assert capsys.readouterr().err.splitlines()[0] == f"osprofiler: only 7 traces written into {where}"
    assert len(list(files.records(file))) == len(base.get_driver(other).list_traces()) == 7


def test_an_interrupt_ends_the_reading_and_shows_the_rest(folder: Path, tmp_path: Path) -> None:
    """The real signal, while a file keeps the command waiting: a pipe that nobody writes to."""
    (tmp_path / "a.jsonl").write_text((folder / "monday.jsonl").read_text())
    pipe = tmp_path / "b.jsonl"
    os.mkfifo(pipe)
    command = [*OSPROFILER, "trace", "stats", str(tmp_path / "a.jsonl"), str(pipe)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pipe.open("w"):  # returns when the command has opened the other end
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "verify_checksum" in out
    assert "interrupted; this is of 30 traces read until then" in err
