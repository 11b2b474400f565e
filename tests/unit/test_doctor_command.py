# SPDX-License-Identifier: Apache-2.0
"""``osprofiler doctor`` as an operator and as monitoring run it."""

import json
import re
from pathlib import Path

import pytest

from osprofiler.cmd import shell
from osprofiler.drivers import base
from osprofiler.testing.records import two_spans
from tests import pages
from tests.unit.test_cli import run
from tests.unit.test_doctor import FILTER, KEY, OTHER_KEY, PIPELINE, SECTIONS, write

_PAGE = pages.REPOSITORY / "doc" / "source" / "doctor.rst"


@pytest.fixture
def healthy(tmp_path: Path) -> str:
    """A configuration in which nothing is wrong."""
    store = f"sqlite:///{tmp_path}/traces.db"
    base.get_driver(store).write([])
    (tmp_path / "traces.db").touch()
    write(tmp_path, SECTIONS + FILTER + PIPELINE, "api-paste.ini")
    return write(tmp_path, f"[profiler]\nenabled = true\nhmac_keys = {KEY}\nconnection_string = {store}\n")


def doctor(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> str:
    assert shell.main(["doctor", *args]) == status
    out, err = capsys.readouterr()
    assert err == ""
    assert KEY not in out
    return out


def failing(folder: Path) -> str:
    text = f"[profiler]\nenabled = true\nhmac_keys = {OTHER_KEY}\nconnection_string = redis://:Zq7xSecret@127.0.0.1:1\n"
    return write(folder, text, "glance-api.conf")


def test_the_table(healthy: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = doctor(capsys, "--config-file", healthy).splitlines()
    assert lines[0].split() == ["result", "check", "details"]
    checks = [line.split()[:2] for line in lines[1:] if line[0] != " "]
    assert checks == [
        ["OK", name]
        for name in (
            *("options", "enabled", "sampler", "trust", "propagation", "layers", "instrument", "keys", "paste"),
            *("queue", "store"),
        )
    ]


def test_json_for_monitoring(healthy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--config-file", healthy, "--project", "nova", "--service", "api", "--rate", "100.5", "--json"]
    document = json.loads(doctor(capsys, *args))
    assert (document["result"], document["service"], document["config_files"]) == ("OK", "nova-api", [healthy])
    by_check = {each["check"]: each for each in document["checks"]}
    assert by_check["queue"]["values"]["rate"] == 100.5
    assert by_check["store"]["values"]["write_ms"] > 0
    assert {"check", "result", "text", "advice", "values"} == by_check["keys"].keys()
    document = json.loads(doctor(capsys, "--config-file", failing(tmp_path), "--json", status=1))
    assert document["result"] == "FAIL"


def test_a_failed_check_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = doctor(capsys, "--config-file", failing(tmp_path), status=1)
    assert "FAIL    store        redis://:***@127.0.0.1:1: cannot write" in text
    assert "-> start the store, let this user in, or correct [profiler]" in text
    assert "Zq7xSecret" not in text


def test_another_service(healthy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = doctor(capsys, "--config-file", healthy, "--with", failing(tmp_path), status=1)
    assert "no key is shared with" in text
    assert OTHER_KEY not in text


def test_a_paste_file_by_name(healthy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paste = write(tmp_path, SECTIONS + PIPELINE.replace("osprofiler ", ""), "other-paste.ini")
    text = doctor(capsys, "--config-file", healthy, "--paste", paste, status=1)
    assert "no request is traced" in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "name the service's configuration, for instance --config-file /etc/nova/nova.conf"),
        (["--config-file", "{folder}/none.conf"], "there is no file {folder}/none.conf"),
        (["--config-dir", "{folder}/none"], "there is no folder {folder}/none"),
        (["--config-file", "{folder}/broken.conf"], "{folder}/broken.conf is malformed in line 1"),
        (["--config-file", "{healthy}", "--with", "{folder}/broken.conf"], "broken.conf is malformed in line 1"),
        (["--config-file", "{healthy}", "--paste", "{folder}/none"], "cannot read {folder}/none"),
        (["--config-file", "{healthy}", "--paste", "{folder}/broken.conf"], "malformed in line 1"),
        (["--config-file", "{healthy}", "--rate", "0"], "a number above 0, not '0'"),
        (["--config-file", "{healthy}", "--rate", "nan"], "a number above 0, not 'nan'"),
        (["--config-file", "{healthy}", "--nothing"], "osprofiler doctor --help"),
    ],
)
def test_wrong_input_is_one_line(args: list[str], words: str, healthy: str, tmp_path: Path) -> None:
    write(tmp_path, "hmac_keys = Zq7xSecret\n", "broken.conf")
    done = run("doctor", *(arg.format(folder=tmp_path, healthy=healthy) for arg in args))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert words.format(folder=tmp_path) in line
    assert "Zq7xSecret" not in line


def test_the_help_tells_the_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        shell.main(["doctor", "--help"])
    text = capsys.readouterr().out
    assert "Exit status: 0" in text
    assert "examples:" in text


def test_the_page_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Except for the folder, the lines' ends, the times, and the layers that are off."""
    shop, paste, text = (block.text for block in pages.blocks(_PAGE) if block.language in ("ini", "text"))
    write(tmp_path, shop, "shop.conf")
    write(tmp_path, paste, "api-paste.ini")
    monkeypatch.chdir(tmp_path)
    base.get_driver("sqlite:///traces.db").write(two_spans())
    printed = doctor(capsys, "--config-file", "shop.conf")
    assert normal(text) == normal(printed.replace(str(tmp_path), "/etc/shop")), printed
    assert max(map(len, text.splitlines())) <= 80


def normal(text: str) -> str:
    text = re.sub(r"\d+ ms", "1 ms", " ".join(text.split()))
    return re.sub(r"off: trace_\w+(, trace_\w+)*", "off: ...", text)  # there are new ones now and then


def test_the_page_has_every_argument_and_check(healthy: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = _PAGE.read_text()
    with pytest.raises(SystemExit):
        shell.main(["doctor", "--help"])
    arguments = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert {argument for argument in arguments if f"``{argument}" not in page} == set()
    document = json.loads(doctor(capsys, "--config-file", healthy, "--json"))
    assert {each["check"] for each in document["checks"] if f"``{each['check']}``" not in page} == set()
