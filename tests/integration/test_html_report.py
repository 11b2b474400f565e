# SPDX-License-Identifier: Apache-2.0
"""The HTML report in a real browser: it draws itself, only what is in sight, and text from a trace stays text."""

import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from osprofiler.reports import html, model
from osprofiler.testing.drivers import record
from tests.conftest import missing
from tests.unit.test_reports_views import HOSTILE_NAMES, hostile, troubled

# As root in a container, and without the browser's own traffic.
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1400,900 --enable-logging=stderr"
)

Drawn = Callable[[model.Trace], tuple[str, list[str]]]


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    """Gives the document as the browser has it after the script has run, and what the page said on its console."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        missing("no Chromium: install Debian's chromium")

    def draw(trace: model.Trace) -> tuple[str, list[str]]:
        file = tmp_path / "report.html"
        file.write_text(html.page(trace), "utf-8")
        command = [browser, *OPTIONS.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return draw


def rows(document: str) -> list[str]:
    sheet = document[document.index('id="rows"') : document.index("<aside")]
    return re.findall(r'<div class="row.*?(?=<div class="row|$)', sheet, re.S)


def test_every_span_is_drawn_with_what_matters(drawn: Drawn) -> None:
    document, console = drawn(troubled())
    found = rows(document)
    assert console == []
    assert len(found) == 6
    marks = [re.findall(r'class="mark \w+">([^<]*)<', row) for row in found]
    assert marks == [
        [],
        ["ValueError"],
        ["unfinished", "follows from"],
        ["joins 2"],
        ["start lost"],
        ["parent missing"],
    ]
    assert [re.findall(r'class="took[^"]*"[^>]*>([^<]*)<', row) for row in found] == [
        ["1.00 ms"],
        ["400 µs"],
        ["unfinished"],
        ["200 µs"],
        ["0 µs"],
        ["10 µs"],
    ]
    assert "6 spans, 1 error, 1 unfinished" in document


def test_hostile_names_are_shown_as_text(drawn: Drawn) -> None:
    document, console = drawn(hostile())
    assert console == []
    assert "<title>owned" not in document
    outside = re.sub(r"<script.*?</script>", "", document, flags=re.S)
    assert "<img" not in outside
    shown = [unescape(name) for name in re.findall(r'<span class="op">(.*?)</span>', outside, re.S)]
    assert shown == [name.replace("\ud800", "\ufffd").replace("\r", "\n") for name in HOSTILE_NAMES]


def test_of_fifty_thousand_spans_only_those_in_sight_are_in_the_page(drawn: Drawn) -> None:
    records = [record(1, "start", 0), *(record(i, "start", i, parent=i // 9 + 1) for i in range(2, 50_001))]
    document, console = drawn(model.from_records(records))
    assert console == []
    assert 20 < len(rows(document)) < 60
    assert len(re.findall(r"<[a-z]", re.sub(r"<script.*?</script>", "", document, flags=re.S))) < 600
    assert re.search(r'id="rows" style="height: (1300000|1\.3e\+06)px', document)
