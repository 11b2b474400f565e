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
from osprofiler.reports import model, wording
from osprofiler.reports.views import columns, dot, html, tree
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
    spans = drawn[2 : drawn.index("", 2)]
    assert [re.split(r" {2,}", line)[0] for line in spans] == [
        "neutron-api",
        "|- neutron-api (error ValueError)",
        "|~ rpc cast (unfinished) (follows from)",
        "|- neutron-api (joins 2)",
        "`- neutron-api (start lost)",
        "neutron-api (parent missing)",
    ]
    assert [re.split(r" {2,}", line)[1] for line in spans] == [
        "1.00 ms",
        "400 us",
        "unfinished",
        "200 us",
        "0 us",
        "10 us",
    ]


def test_a_bar_shows_when_a_span_ran() -> None:
    bars = [line.split()[-1] for line in lines(troubled(), unicode=False)[2:8]]
    assert bars[0] == "#" * 40
    assert bars[1] == "." * 4 + "#" * 16 + "." * 20
    assert bars[2] == "." * 8 + "~" * 32  # no end
    assert bars[5] == "." * 12 + "'" + "." * 27  # shorter than a column


@pytest.mark.parametrize("width", [40, 60, 80, 133, 200])
@pytest.mark.parametrize("trace", [troubled, hostile, lambda: failing(40)])
def test_no_line_is_wider_than_the_window(width: int, trace: Any) -> None:
    for unicode in True, False:
        drawn = lines(trace(), width=width, unicode=unicode, encoding="utf-8" if unicode else "ascii")
        assert max(map(columns.width, drawn)) <= width


def failing(depth: int) -> model.Trace:
    """A trace whose deepest span, with a long name and much to say, failed, and all above it by the same fault."""
    spans = []
    for i in range(1, depth + 1):
        request = {"request": {"path": "/v2.1/servers/0c5d9a54-1f0e-4f0a-9f3e-0d6f4f0c2a11/action"}}
        spans.append(record(i, "start", i, parent=i - 1, osprofiler={"operation": "wsgi POST größe " * 3}, **request))
        spans.append(record(i, "stop", 900 - i, parent=i - 1, etype="NoValidHost", message=MESSAGE))
    return model.from_records(spans)


MESSAGE = "No valid host was found. There are not enough hosts available, and none of them has the memory asked for."


@pytest.mark.parametrize("width", [40, 60, 80, 200, None])
def test_the_mark_of_a_failed_span_is_never_cut(width: int | None) -> None:
    for depth in 1, 5, 40:
        drawn = lines(failing(depth), width=width)
        spans = drawn[drawn.index("") + 1 : -drawn[::-1].index("") - 1]
        assert len(spans) == depth
        assert all("(error)" in line or "(error NoValidHost)" in line for line in spans)


@pytest.mark.parametrize("width", [40, 60, 80, 200, None])
def test_an_error_is_listed_once_with_all_of_its_message(width: int | None) -> None:
    drawn = lines(failing(5), width=width)
    below = " ".join(line.strip() for line in drawn[-drawn[::-1].index("") :])
    assert below.startswith("error in wsgi POST größe")
    assert below.count("NoValidHost: ") == 1
    assert below.endswith(MESSAGE)


def test_no_more_than_ten_errors_are_listed() -> None:
    spans = [record(1, "start", 0), record(1, "stop", 900)]
    for i in range(2, 15):
        spans += [record(i, "start", i, parent=1), record(i, "stop", 90, parent=1, etype="E", message=str(i))]
    assert lines(model.from_records(spans))[-1] == "... and 3 more errors"


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"etype": "E", "message": "from the record"}, "E: from the record"),
        ({"etype": "E"}, "E"),
        ({"osprofiler": {"tags": {"error": True}}}, "error"),
        ({"osprofiler": {"tags": {"error": "true", "otel.status_description": "of a status"}}}, "of a status"),
        ({"osprofiler": {"tags": {"error": True}, "logs": [[5, {"event": "error", "message": "logged"}]]}}, "logged"),
        (
            {"osprofiler": {"tags": {"error": True}, "logs": [[5, {"event": "exception", "exception.message": "ex"}]]}},
            "ex",
        ),
        ({"osprofiler": {"tags": {"error": True}, "logs": [[5, {"event": "retry", "message": "no error"}]]}}, "error"),
    ],
)
def test_where_the_message_of_an_error_is(info: dict[str, Any], message: str) -> None:
    trace = model.from_records([record(1, "start", 0), record(1, "stop", 9, **info)])
    assert [failure.text for failure in wording.failures(trace)] == [message]


@pytest.mark.parametrize(
    ("info", "mark"),
    [
        ({"requests": {"status_code": 404}}, " (HTTP 404)"),
        ({"response": {"status": 400}}, " (HTTP 400)"),
        ({"osprofiler": {"tags": {"http.status_code": 401}}}, " (HTTP 401)"),
        ({"osprofiler": {"tags": {"http.response.status_code": "503"}}}, " (HTTP 503)"),
        ({"osprofiler": {"tags": {"http.status_code": 302}}}, ""),
        ({"osprofiler": {"tags": {"http.status_code": "\u00b2\u00b2\u00b2"}}}, ""),
        ({"osprofiler": {"tags": {"http.status_code": None}}}, ""),
    ],
)
def test_a_status_of_400_and_more_shows(info: dict[str, Any], mark: str) -> None:
    trace = model.from_records([record(1, "start", 0), record(1, "stop", 9, **info)])
    assert lines(trace)[2].partition("   ")[0].rstrip() == f"neutron-api{mark}"


def test_colour_only_where_asked_for() -> None:
    assert "\x1b" not in "".join(lines(hostile()))
    painted = lines(troubled(), colour=True, width=100)
    assert any("\x1b[31m (error ValueError)" in line for line in painted)
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in painted] == lines(troubled(), width=100)


@pytest.mark.parametrize("unicode", [True, False])
def test_a_hostile_name_cannot_reach_the_terminal(unicode: bool) -> None:
    drawn = lines(hostile(), unicode=unicode)
    assert len(drawn) == 2 + 2 * len(HOSTILE_NAMES) + 1  # each is a span and an error
    assert all(line.isprintable() for line in drawn)


def test_plain_drawing_is_ascii() -> None:
    assert all(line.isascii() for line in lines(troubled(), unicode=False))


def test_a_deep_tree_says_its_depth() -> None:
    records = [record(i, "start", i, parent=i - 1) for i in range(1, 3_001)]
    drawn = lines(model.from_records(records))
    assert max(map(len, drawn)) < 200
    assert "2999 " in drawn[-1]


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "0 us"), (999, "999 us"), (1_250, "1.25 ms"), (3_402_000, "3.402 s"), (125_000_000, "2 min 5 s")],
)
def test_durations_for_people(us: int, text: str) -> None:
    assert wording.duration(us) == text


@pytest.mark.parametrize(
    ("info", "gist"),
    [
        ({"request": {"path": "/v2/servers", "method": "GET"}}, "/v2/servers"),
        ({"requests": {"hostname": "glance", "path": "/v2/images"}}, "glance/v2/images"),
        ({"db": {"statement": "SELECT 1\nFROM x"}}, "SELECT 1 FROM x"),
        ({"function": {"name": "nova.boot"}}, "nova.boot"),
        ({"request": "nonsense", "db": {"statement": None}}, ""),
    ],
)
def test_the_gist_of_a_span(info: dict[str, Any], gist: str) -> None:
    trace = model.from_records([record(1, "start", 0, **info)])
    assert wording.detail(trace.roots[0]) == gist


def test_the_page_holds_the_whole_trace() -> None:
    found = data(html.page(troubled()))
    assert [row[0:2] for row in found["rows"]] == [[0, 5], [1, 1], [1, 1], [1, 1], [1, 1], [0, 1]]
    assert [row[4] for row in found["rows"]] == [1_000, 400, -1, 200, 0, 10]
    assert [row[5] for row in found["rows"]] == [400, 400, 0, 200, 0, 10]  # the time without the children
    assert [row[6] for row in found["rows"]] == [
        0,
        0,
        html.UNFINISHED | html.DETACHED,
        0,
        html.START_LOST,
        html.PARENT_MISSING,
    ]
    assert found["rows"][3][-1]["links"] == [["child_of", 1, TRACE, point(2)], ["follows_from", 2, TRACE, point(3)]]


def test_the_page_needs_nothing_else() -> None:
    page = html.page(troubled())
    assert not re.search(r"(src|href)=(?!\"data:,\")|@import|url\(|https?://", page)
    assert "default-src 'none'" in page


def test_a_hostile_name_stays_data() -> None:
    page = html.page(hostile())
    assert len(re.findall(r"<script", page)) == 2
    assert len(re.findall(r"</script", page)) == 2
    assert "<!--" not in page
    names = [row[7] for row in data(page)["rows"]]
    assert names == [name.replace("\ud800", "\ufffd") for name in HOSTILE_NAMES]


def test_numbers_that_a_browser_cannot_read() -> None:
    page = html.page(model.from_records([record(1, "start", 0, x=float("nan"), y=[float("inf")])]))
    assert data(page)["rows"][0][-1]["start"] == {"x": "NaN", "y": ["Infinity"]}


@pytest.mark.parametrize(
    ("text", "shown"), [("\U0001f600", "\U0001f600"), ("\\ud800", "\\ud800"), ("\ude00\ud83d", "\ufffd\ufffd")]
)
def test_half_characters_are_replaced(text: str, shown: str) -> None:
    page = html.page(model.from_records([record(1, "start", 0, x=text)]))
    assert data(page)["rows"][0][-1]["start"] == {"x": shown}


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
    width = columns.width

    def counting(text: str) -> int:
        nonlocal seen
        seen += len(text)
        return width(text)

    monkeypatch.setattr(columns, "width", counting)
    name = "\u670d" * 3_000
    spans = [{**each, "name": f"{name}-{each['name'].rpartition('-')[2]}"} for each in two_spans()]
    found = list(tree.lines(model.from_records(spans), tree.Style(80)))
    assert any(line.startswith("\u2514\u2500 " + "\u670d" * 5) for line in found)
    assert seen < 20 * len(name)
