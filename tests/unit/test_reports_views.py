# SPDX-License-Identifier: Apache-2.0
"""The tree, the HTML page and the graph: what they must show, and what text from a trace must not do to them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from osprofiler import exc
from osprofiler.reports import dot, html, model, tree, wording
from osprofiler.testing.records import TRACE, point, record, two_spans
from tests.conftest import missing

HOSTILE_NAMES = [
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    "<img src=x onerror=document.title='owned'>",
    '"; } label="x',
    "\\",
    "\x1b[2Jcleared\x07",
    "line\nbreak\r\u2028here",
    "\u202egnihton",
    "lone \ud800 surrogate",
    "]]>&lt;",
]


def troubled() -> model.Trace:
    """A trace with one of each: failed, unfinished, detached, joined, without parent, without start."""
    follows = {"operation": "rpc cast", "parent": "follows_from"}
    joins = {"links": [["child_of", TRACE, point(2)], ["follows_from", TRACE, point(3)]]}
    return model.from_records(
        [
            *two_spans(),
            record(3, "start", 200, parent=1, osprofiler=follows),
            record(4, "start", 600, parent=1),
            record(4, "stop", 800, parent=1, osprofiler=joins),
            record(5, "start", 300, parent=77),
            record(5, "stop", 310, parent=77),
            record(6, "stop", 900, parent=1),
        ]
    )


def hostile() -> model.Trace:
    spans = []
    for i, name in enumerate(HOSTILE_NAMES, 1):
        spans.append(
            {**record(i, "start", i, **{name: name}), "name": f"{name}-start", "service": name, "project": name}
        )
        spans.append({**record(i, "stop", 90, etype=name), "name": f"{name}-stop"})
    return model.from_records(spans)


def lines(trace: model.Trace, **style: Any) -> list[str]:
    return list(tree.lines(trace, tree.Style(**style)))


def data(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_tree_of_a_trace() -> None:
    drawn = lines(troubled(), unicode=False)
    assert drawn[0].endswith("1.00 ms  6 spans, 1 error, 1 unfinished, 1 missing parent")
    assert [re.split(r" {2,}", line)[0] for line in drawn[2:]] == [
        "neutron-api",
        "|- neutron-api (error ValueError)",
        "|~ rpc cast (unfinished) (follows from)",
        "|- neutron-api (joins 2)",
        "`- neutron-api (start lost)",
        "neutron-api (parent missing)",
    ]
    assert [re.split(r" {2,}", line)[1] for line in drawn[2:]] == [
        "1.00 ms",
        "400 us",
        "unfinished",
        "200 us",
        "0 us",
        "10 us",
    ]


def test_a_bar_shows_when_a_span_ran() -> None:
    bars = [line.split()[-1] for line in lines(troubled(), unicode=False)[2:]]
    assert bars[0] == "#" * 40
    assert bars[1] == "." * 4 + "#" * 16 + "." * 20
    assert bars[2] == "." * 8 + "~" * 32  # no end
    assert bars[5] == "." * 12 + "'" + "." * 27  # shorter than a column


@pytest.mark.parametrize("width", [60, 80, 133, 200])
@pytest.mark.parametrize("trace", [troubled, hostile])
def test_no_line_is_wider_than_the_window(width: int, trace: Any) -> None:
    assert max(map(len, lines(trace(), width=width)[2:])) <= width


def test_colour_only_where_asked_for() -> None:
    assert "\x1b" not in "".join(lines(hostile()))
    painted = lines(troubled(), colour=True, width=100)
    assert "\x1b[31m" in painted[3]  # the error
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in painted] == lines(troubled(), width=100)


@pytest.mark.parametrize("unicode", [True, False])
def test_a_hostile_name_cannot_reach_the_terminal(unicode: bool) -> None:
    drawn = lines(hostile(), unicode=unicode)
    assert len(drawn) == 2 + len(HOSTILE_NAMES)
    assert all(line.isprintable() for line in drawn)


def test_plain_drawing_is_ascii() -> None:
    assert all(line.isascii() for line in lines(troubled(), unicode=False))


def test_a_deep_tree_says_its_depth() -> None:
    records = [record(i, "start", i, parent=i - 1) for i in range(1, 3_001)]
    drawn = lines(model.from_records(records))
    assert max(map(len, drawn)) < 200
    assert "2999 " in drawn[-1]


@pytest.mark.parametrize(
    ("us", "said"),
    [(0, "0 us"), (999, "999 us"), (1_250, "1.25 ms"), (3_402_000, "3.402 s"), (125_000_000, "2 min 5 s")],
)
def test_durations_for_people(us: int, said: str) -> None:
    assert wording.duration(us) == said


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"request": {"path": "/v2/servers", "method": "GET"}}, "/v2/servers"),
        ({"requests": {"hostname": "glance", "path": "/v2/images"}}, "glance/v2/images"),
        ({"db": {"statement": "SELECT 1\nFROM x"}}, "SELECT 1 FROM x"),
        ({"function": {"name": "nova.boot"}}, "nova.boot"),
        ({"request": "nonsense", "db": {"statement": None}}, ""),
    ],
)
def test_the_gist_of_a_span(info: dict[str, Any], said: str) -> None:
    trace = model.from_records([record(1, "start", 0, **info)])
    assert wording.detail(trace.roots[0]) == said


def test_the_page_holds_the_whole_trace() -> None:
    found = data(html.page(troubled()))
    assert [row[0:2] for row in found["rows"]] == [[0, 5], [1, 1], [1, 1], [1, 1], [1, 1], [0, 1]]
    assert [row[4] for row in found["rows"]] == [1_000, 400, -1, 200, 0, 10]
    assert [row[5] for row in found["rows"]] == [
        0,
        0,
        html.UNFINISHED | html.DETACHED,
        0,
        html.START_LOST,
        html.PARENT_MISSING,
    ]
    assert found["rows"][3][9]["links"] == [["child_of", 1, TRACE, point(2)], ["follows_from", 2, TRACE, point(3)]]


def test_the_page_needs_nothing_else() -> None:
    page = html.page(troubled())
    assert not re.search(r"(src|href)=(?!\"data:,\")|@import|url\(|https?://", page)
    assert "default-src 'none'" in page


def test_a_hostile_name_stays_data() -> None:
    page = html.page(hostile())
    assert len(re.findall(r"<script", page)) == 2
    assert len(re.findall(r"</script", page)) == 2
    assert "<!--" not in page
    names = [row[6] for row in data(page)["rows"]]
    assert names == [name.replace("\ud800", "\ufffd") for name in HOSTILE_NAMES]


def test_numbers_that_a_browser_cannot_read() -> None:
    page = html.page(model.from_records([record(1, "start", 0, x=float("nan"), y=[float("inf")])]))
    assert data(page)["rows"][0][9]["start"] == {"x": "NaN", "y": ["Infinity"]}


@pytest.mark.parametrize(
    ("text", "shown"), [("\U0001f600", "\U0001f600"), ("\\ud800", "\\ud800"), ("\ude00\ud83d", "\ufffd\ufffd")]
)
def test_half_characters_are_replaced(text: str, shown: str) -> None:
    page = html.page(model.from_records([record(1, "start", 0, x=text)]))
    assert data(page)["rows"][0][9]["start"] == {"x": shown}


def test_an_empty_trace_is_a_page_too() -> None:
    assert data(html.page(model.Trace("x")))["rows"] == []


def test_the_graph_marks_what_matters() -> None:
    drawn = "".join(dot.text(troubled()))
    assert drawn.count(" -> ") == 6 + 2  # a parent or the total each, and the joins
    assert 's2 [label="rpc cast\\nunfinished", style="rounded,dashed"]' in drawn
    assert 's0 -> s2 [style=dashed, label="follows from"]' in drawn
    assert 'error ValueError\\n400 us", color=red' in drawn
    assert 'label="parent missing"' in drawn


@pytest.mark.parametrize("trace", [troubled, hostile])
def test_graphviz_reads_the_graph(trace: Any) -> None:
    if not shutil.which("dot"):
        missing("graphviz is not installed: install Debian's graphviz")
    graph = "".join(dot.text(trace()))
    done = subprocess.run(["dot", "-Tplain"], input=graph, capture_output=True, text=True, check=True)
    assert sum(line.startswith("node ") for line in done.stdout.splitlines()) == len(trace().spans) + 1


def test_drawing_without_graphviz_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(exc.CommandError, match="install graphviz"):
        dot.render(troubled(), tmp_path / "graph")


def test_a_long_name_in_another_script_is_cut_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    width = tree._width

    def counting(text: str) -> int:
        nonlocal seen
        seen += len(text)
        return width(text)

    monkeypatch.setattr(tree, "_width", counting)
    name = "\u670d" * 3_000
    spans = [{**each, "name": f"{name}-{each['name'].rpartition('-')[2]}"} for each in two_spans()]
    found = list(tree.lines(model.from_records(spans), tree.Style(80)))
    assert found[-1].startswith("\u2514\u2500 " + "\u670d" * 5)
    assert seen < 20 * len(name)
