# SPDX-License-Identifier: Apache-2.0
"""The HTML report in a real browser: what it shows and does, and what text from a trace cannot make it do.

``OSPROFILER_SCREENSHOTS=doc/source/images`` keeps the pictures that the documentation shows.
"""

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from osprofiler.reports import model
from osprofiler.reports.analysis import skew, statistics
from osprofiler.reports.views import html
from osprofiler.testing.records import record
from tests.integration.conftest import OpenPage, Page
from tests.unit.reports_kit import Made, made, records, traces
from tests.unit.test_reports_views import HOSTILE_NAMES, hostile, troubled
from tests.waiting import wait_until

Opened = Callable[[model.Trace], Page]


@pytest.fixture
def opened(open_page: OpenPage) -> Opened:
    """Opens the page of a trace."""
    return lambda trace: open_page(html.page(trace), width=1400)


def rows(page: Page) -> list[dict[str, Any]]:
    """What the rows in the page show, from the top."""
    found: list[dict[str, Any]] = page.eval_on_selector_all(
        "#rows .row",
        """found => found.sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top)).map(row => ({
            name: row.querySelector(".op").textContent,
            badges: [...row.querySelectorAll(".badge")].map(badge => badge.textContent),
            took: row.querySelector(".took")?.textContent,
            chosen: row.classList.contains("chosen"), hit: row.classList.contains("hit"),
            path: row.querySelector(".path path:not(.waiting)")?.getAttribute("d") || "",
            waiting: row.querySelector(".path .waiting") !== null,
        }))""",
    )
    return found


def names(page: Page) -> list[str]:
    return [row["name"] for row in rows(page)]


def chosen(page: Page) -> list[str]:
    return [row["name"] for row in rows(page) if row["chosen"]]


def boot() -> model.Trace:
    """A request, work on two branches that are joined, and a cast that outlives it."""
    return made(
        Made("wsgi POST", None, 0, 100_000, info={"request": {"path": "/servers"}}),
        Made("db SELECT", "wsgi POST", 5_000, 12_000, info={"db": {"statement": "SELECT * FROM flavors"}}),
        Made("ask compute-1", "wsgi POST", 15_000, 40_000),
        Made("ask compute-2", "wsgi POST", 15_500, 80_000),
        Made("rpc free_mb", "ask compute-2", 20_000, 78_000),
        Made("join", "wsgi POST", 81_000, 81_010, joins=["ask compute-1", "ask compute-2"]),
        Made("rpc build", "wsgi POST", 90_000, 92_000),
        Made("rpc build on compute", "rpc build", 130_000, 400_000, follows=True),
        Made("spawn", "rpc build on compute", 150_000, 390_000),
    )


def wide(count: int) -> model.Trace:
    spans = [record(1, "start", 0), *(record(i, "start", i, parent=i // 9 + 1) for i in range(2, count + 1))]
    return model.from_records(spans + [record(i, "stop", 2 * count, parent=i // 9 + 1) for i in range(2, count + 1)])


def test_every_span_is_drawn_with_what_matters(opened: Opened) -> None:
    page = opened(troubled())
    found = rows(page)
    assert [row["badges"] for row in found] == [
        [],
        ["ValueError"],
        ["unfinished", "follows from"],
        ["joins 2"],
        ["start lost"],
        ["parent missing"],
    ]
    assert [row["took"] for row in found] == ["1.00 ms", "400 µs", "unfinished", "200 µs", "0 µs", "10 µs"]
    assert "6 spans, 1 error, 1 unfinished" in page.text_content("#facts")


def test_hostile_names_are_shown_as_text(opened: Opened) -> None:
    page = opened(hostile())
    assert page.title() != "owned"
    assert page.locator("main img, aside img, main script, aside script").count() == 0
    shown = {"\ud800": "\ufffd", "\x1b": "⟨U+001B⟩", "\x07": "⟨U+0007⟩", "\u202e": "⟨U+202E⟩"}
    assert names(page) == [
        re.sub("[\r\n\u2028]+", " ", re.sub("[\ud800\x1b\x07\u202e]", lambda char: shown[char[0]], name))
        for name in HOSTILE_NAMES
    ]
    for _ in HOSTILE_NAMES:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        assert page.locator("aside img, aside script").count() == 0
    page.fill("#search", "<img")
    assert page.text_content("#hits") == "1 found"


def test_search_finds_what_any_part_of_a_span_says(opened: Opened) -> None:
    page = opened(boot())
    page.keyboard.press("/")
    page.keyboard.type("FLAVORS")
    assert page.text_content("#hits") == "1 found"
    assert [row["name"] for row in rows(page) if row["hit"]] == ["db SELECT"]
    page.keyboard.press("Enter")
    assert chosen(page) == ["db SELECT"]
    page.fill("#search", "rpc")
    assert page.text_content("#hits") == "3 found"
    page.keyboard.press("Escape")
    assert page.input_value("#search") == "rpc"
    seen = []
    for _ in range(4):
        page.keyboard.press("n")
        seen += chosen(page)
    assert seen == ["rpc free_mb", "rpc build", "rpc build on compute", "rpc free_mb"]
    page.keyboard.press("N")
    assert chosen(page) == ["rpc build on compute"]


def test_a_hit_in_a_collapsed_part_is_brought_to_light(opened: Opened) -> None:
    page = opened(boot())
    page.click("#fold")
    assert "spawn" not in names(page)
    page.fill("#search", "spawn")
    page.keyboard.press("Enter")
    assert chosen(page) == ["spawn"]


def test_collapse_and_expand(opened: Opened) -> None:
    page = opened(boot())
    assert len(rows(page)) == 9
    page.locator(".row", has_text="rpc build on compute").locator(".twist").click()
    assert "spawn" not in names(page)
    assert len(rows(page)) == 8
    page.click("#fold")
    assert names(page) == ["wsgi POST", "db SELECT", "ask compute-1", "ask compute-2", "join", "rpc build"]
    page.click("#expand")
    assert len(rows(page)) == 9


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened(boot())
    page.keyboard.press("j")
    assert chosen(page) == ["wsgi POST"]
    for key in "ArrowDown", "ArrowDown", "ArrowDown", "k", "ArrowDown", "ArrowRight":
        page.keyboard.press(key)
    assert chosen(page) == ["rpc free_mb"]
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == ["ask compute-2"]
    page.keyboard.press("ArrowLeft")
    assert "rpc free_mb" not in names(page)
    page.keyboard.press("ArrowRight")
    assert "rpc free_mb" in names(page)
    page.keyboard.press("End")
    assert chosen(page) == ["spawn"]
    page.keyboard.press("Home")
    assert chosen(page) == ["wsgi POST"]
    page.keyboard.press("Enter")
    assert page.is_visible("#details")
    page.keyboard.press("Escape")
    assert not page.is_visible("#details")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_assistive_software_is_told_of_the_tree(opened: Opened) -> None:
    page = opened(boot())
    page.keyboard.press("j")
    page.keyboard.press("j")
    tree = page.locator("#scroll")
    current = page.locator(f"#{tree.get_attribute('aria-activedescendant')}")
    assert (current.get_attribute("aria-level"), current.get_attribute("aria-selected")) == ("2", "true")
    assert page.locator("[role=treeitem][aria-expanded=true]").count() == 4
    unnamed = page.eval_on_selector_all(
        "button, input", "all => all.filter(each => !(each.textContent || each.getAttribute('aria-label'))).length"
    )
    assert unnamed == 0


def ticks(page: Page) -> list[str]:
    found: list[str] = page.locator("#ticks span").all_text_contents()
    return found


def test_zoom(opened: Opened) -> None:
    page = opened(boot())
    assert ticks(page) == ["0 µs", "80.00 ms", "160.00 ms", "240.00 ms", "320.00 ms"]
    box = page.locator("#overview").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=3)
    page.mouse.up()
    assert ticks(page)[0] == "200.00 ms"
    page.keyboard.press("0")
    assert ticks(page)[0] == "0 µs"
    page.keyboard.press("+")
    assert ticks(page)[0] == "100.00 ms"
    page.keyboard.press("-")
    assert ticks(page)[0] == "0 µs"
    page.keyboard.press("j")
    page.keyboard.press("z")  # the request alone
    assert ticks(page) == ["0 µs", "20.00 ms", "40.00 ms", "60.00 ms", "80.00 ms"]
    assert [row["took"] for row in rows(page)][-1] is None  # out of sight


def test_the_critical_path_is_marked(opened: Opened) -> None:
    page = opened(boot())
    assert page.text_content("#path") == "Critical path: request"
    marked = {row["name"] for row in rows(page) if row["path"]}
    assert marked == {"wsgi POST", "db SELECT", "ask compute-2", "rpc free_mb", "join", "rpc build"}
    root = rows(page)[0]["path"]
    assert root.count("M") >= 4  # before, between and after what it waited for
    page.keyboard.press("p")
    page.keyboard.press("p")
    assert chosen(page) == ["db SELECT"]
    page.keyboard.press("Enter")
    assert "7.00 ms on the critical path" in page.text_content("#details")
    page.keyboard.press("c")
    assert page.text_content("#path") == "Critical path: whole trace"
    found = {row["name"]: row for row in rows(page)}
    assert found["spawn"]["path"]
    assert found["rpc build on compute"]["waiting"]
    page.click("#path")
    assert page.text_content("#path") == "Critical path: off"
    assert page.locator(".path").count() == 0


def test_many_parts_of_the_path_in_one_row_are_one_element(opened: Opened) -> None:
    spans = [Made("all", None, 0, 60_000)]
    spans += [Made(f"call {i}", "all", 3 * i + 1, 3 * i + 3) for i in range(19_000)]
    page = opened(made(*spans))
    assert page.locator("#row0 .path path").count() == 1
    assert len(rows(page)[0]["path"]) < 20_000


def test_references_lead_to_their_spans(opened: Opened) -> None:
    page = opened(boot())
    page.click("#fold")
    page.locator(".row", has_text="join").first.click()
    links = page.locator("#details a")
    assert links.all_text_contents() == ["wsgi POST /servers", "ask compute-1 ", "ask compute-2 "]
    links.nth(2).focus()
    page.keyboard.press("Enter")
    assert chosen(page) == ["ask compute-2"]
    assert page.text_content("#details h2").strip() == "ask compute-2"
    opened_troubled = opened(troubled())
    opened_troubled.locator(".row", has_text="parent missing").click()
    assert "(not in this trace)" in opened_troubled.text_content("#details")


def test_errors_can_be_gone_through(opened: Opened) -> None:
    page = opened(troubled())
    page.keyboard.press("e")
    assert [row["badges"] for row in rows(page) if row["chosen"]] == [["ValueError"]]
    page.click("#errors")
    assert [row["badges"] for row in rows(page) if row["chosen"]] == [["unfinished", "follows from"]]


def answered() -> model.Trace:
    """Requests with each kind of answer, one of which failed besides; and what never ended."""
    made_of = [
        ("wsgi POST", {"response": {"status": 200}}),
        ("wsgi GET", {"response": {"status": 404}}),
        ("http GET", {"requests": {"status_code": 302}}),
        ("http PUT", {"etype": "Unavailable", "requests": {"status_code": 503}}),
        ("rpc cast", None),
    ]
    spans = [Made(name, made_of[0][0] if i else None, i, 90 - i) for i, (name, _) in enumerate(made_of)]
    found = []
    for each in records(*spans):
        info = made_of[int(each["trace_id"][-12:], 16) - 1][1]
        if each["name"].endswith("-start"):
            found.append(each)
        elif info is not None:
            each["info"].update(info)
            found.append(each)
    return model.from_records(found)


def test_an_http_status_from_400_has_a_badge_of_its_own(opened: Opened) -> None:
    page = opened(answered())
    assert [row["badges"] for row in rows(page)] == [[], ["HTTP 404"], [], ["Unavailable", "HTTP 503"], ["unfinished"]]
    looks = """all => all.map(badge => { const style = getComputedStyle(badge);
        return [style.color, style.borderTopLeftRadius].join(); })"""
    status, error = (set(page.eval_on_selector_all(f".badge.{kind}", looks)) for kind in ("status", "bad"))
    assert len(status) == len(error) == 1
    assert not status & error
    assert page.locator(".bar.bad").count() == 1  # a 404 is no error of the span
    page.locator(".row").nth(1).click()
    assert "HTTP 404" in page.text_content("#details p")
    assert "HTTP status404" in page.text_content("#details")
    page.set_viewport_size({"width": 390, "height": 844})
    # Not Playwright's own way to wait, which the page's security policy refuses when it has to ask twice.
    wait_until(lambda: page.text_content(".badge.status") == "404")
    assert page.eval_on_selector_all(".badge.status", "all => all.every(m => m.scrollWidth <= m.clientWidth + 1)")


def test_statuses_from_400_are_reached_and_searched_for(opened: Opened) -> None:
    page = opened(answered())
    seen = []
    for _ in range(3):
        page.click("#errors")
        seen += chosen(page)
    page.keyboard.press("e")
    assert [*seen, *chosen(page)] == ["wsgi GET", "http PUT", "rpc cast", "wsgi GET"]
    for text, found in ("404", ["wsgi GET"]), ("status=404", ["wsgi GET"]), ("STATUS=5xx", ["http PUT"]):
        page.fill("#search", text)
        assert [row["name"] for row in rows(page) if row["hit"]] == found


def test_corrected_clocks_are_told(opened: Opened) -> None:
    late = [Made("a", None, 0, 1_000, host="api"), Made("b", "a", -5_000, -4_400, host="compute")]
    page = opened(skew.correct(made(*late)))
    assert "corrected here: compute +5.20 ms" in page.text_content("#facts")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert "clock corrected by" in page.text_content("#details")


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_rows_reach_the_lower_edge(opened: Opened) -> None:
    page = opened(wide(300))
    lower = page.evaluate("document.getElementById('scroll').getBoundingClientRect().bottom")
    assert abs(lower - 900) < 1


def test_light_and_dark(opened: Opened) -> None:
    page = opened(boot())
    light = background(page)
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert light == "rgb(255, 255, 255)" != dark
    page.keyboard.press("t")
    assert background(page) == light
    page.click("#theme")
    assert background(page) == dark


def test_it_is_printed_whole_and_legibly(opened: Opened, tmp_path: Path) -> None:
    page = opened(wide(300))
    page.emulate_media(color_scheme="dark")
    file = tmp_path / "printed.pdf"
    page.pdf(path=str(file), print_background=True, prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())) >= 300 * 20 / 700
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert background(page) == "rgb(255, 255, 255)"
    assert page.locator(".row").count() == 300
    assert not any(page.is_visible(each) for each in (".tools", ".tabs", "#fold", "#overview"))
    tops = page.eval_on_selector_all(".row", "all => all.map(row => row.getBoundingClientRect().top)")
    assert all(b - a >= 19 for a, b in itertools.pairwise(tops))  # none above another
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".row").count() < 100


ROWS_AT_BOTH_ENDS = """() => { const all = document.getElementById("scroll").getBoundingClientRect();
    return [5, all.height - 5].every(y => document.elementFromPoint(700, all.top + y)?.closest(".row") != null); }"""


def test_of_fifty_thousand_spans_only_those_in_sight_are_in_the_page(opened: Opened) -> None:
    page = opened(wide(50_000))
    page.evaluate("document.getElementById('row20').dataset.drawn = 'once'")
    page.evaluate("document.getElementById('scroll').scrollTop = 400")
    wait_until(lambda: page.locator("#row39").count() == 1)
    assert page.get_attribute("#row20", "data-drawn") == "once"  # what stays in sight is not drawn anew
    shown = page.eval_on_selector_all("#rows .row", "all => all.map(row => Number(row.dataset.row))")
    assert shown == list(range(shown[0], shown[-1] + 1))
    most = 0
    for at in 0.0, 0.13, 0.5, 0.77, 1.0:
        page.evaluate(
            "at => { const all = document.getElementById('scroll'); all.scrollTop = at * all.scrollHeight; }", at
        )
        wait_until(lambda: page.evaluate(ROWS_AT_BOTH_ENDS))
        most = max(most, page.evaluate("document.querySelectorAll('body *').length"))
        assert 20 < page.locator(".row").count() < 60
    assert most < 700
    page.keyboard.press("End")
    assert page.locator(".row.chosen").count() == 1
    page.fill("#search", "neutron")
    assert page.text_content("#hits") == "50000 found"


def test_a_deep_trace_opens(opened: Opened) -> None:
    count = 10_000
    chain = [Made("0", None, 0, 4 * count)] + [Made(str(i), str(i - 1), i, 4 * count - i) for i in range(1, count)]
    page = opened(made(*chain))
    page.keyboard.press("End")
    assert chosen(page) == ["9999"]
    page.click("#fold")
    page.fill("#search", "9999")
    page.keyboard.press("Enter")
    assert "9999" in chosen(page)


def test_an_empty_trace_is_a_page(opened: Opened) -> None:
    page = opened(model.Trace("x"))
    assert page.text_content("h1") == "Empty trace"
    for key in "j", "e", "p", "c", "Enter", "End", "z":
        page.keyboard.press(key)


def pictured() -> model.Trace:
    services = {"wsgi POST": "nova-api", "db SELECT": "nova-api", "rpc build": "nova-api", "join": "nova-api"}
    spans = [
        Made("wsgi POST", None, 0, 100_000, info={"request": {"path": "/v2.1/servers", "method": "POST"}}),
        Made("db SELECT", "wsgi POST", 5_000, 12_000, info={"db": {"statement": "SELECT * FROM flavors WHERE id = ?"}}),
        Made("scheduler.ask", "wsgi POST", 15_000, 40_000),
        Made("rpc free_mb", "scheduler.ask", 18_000, 38_000),
        Made("scheduler.ask ", "wsgi POST", 15_500, 80_000),
        Made("rpc free_mb ", "scheduler.ask ", 20_000, 78_000),
        Made("join", "wsgi POST", 81_000, 81_010, joins=["scheduler.ask", "scheduler.ask "]),
        Made("rpc build", "wsgi POST", 90_000, 92_000),
        Made("rpc build ", "rpc build", 110_000, 400_000, follows=True),
        Made("http GET", "rpc build ", 120_000, 190_000, info={"request": {"path": "/v2/images/debian-12"}}),
        Made("wsgi GET", "http GET", 128_000, 186_000, info={"request": {"path": "/v2/images/debian-12/file"}}),
        Made("compute.spawn", "rpc build ", 200_000, 380_000),
        Made("compute.define", "compute.spawn", 205_000, 260_000),
        Made("compute.power_on", "compute.spawn", 262_000, 372_000),
        Made(
            "db UPDATE", "rpc build ", 385_000, 396_000, info={"db": {"statement": "UPDATE instances SET vm_state=?"}}
        ),
    ]
    found = records(*spans)
    other = {"wsgi GET": "glance-api"}
    for each in found:
        operation = spans[int(each["trace_id"][-12:], 16) - 1].name
        each["service"] = other.get(operation) or services.get(operation.strip()) or "nova-compute"
        if operation == "db UPDATE" and each["name"].endswith("-stop"):
            each["info"]["etype"] = "DBDeadlock"
    return model.from_records(found)


def test_the_end_of_a_long_name_is_in_sight(opened: Opened) -> None:
    """Names that begin alike differ at their end."""
    names = [f"nova.compute.{'manager.' * 20}ComputeManager.{method}" for method in ("attach_volume", "detach_volume")]
    spans = [Made("wsgi GET", None, 0, 9), *(Made(name, "wsgi GET", 1, 5) for name in names)]
    page = opened(model.from_records(records(*spans)))
    assert [row["name"] for row in rows(page)] == ["wsgi GET", *names]
    for row, name in zip(page.locator(".row").all()[1:], names, strict=True):
        label, end = row.locator(".name").bounding_box(), row.locator(".op > :last-child").bounding_box()
        assert label["x"] < end["x"]
        assert end["x"] + end["width"] <= label["x"] + label["width"]
        assert name.endswith(row.locator(".op > :last-child").text_content())
        row.click()
        assert name in page.locator("#details h2").text_content()
    if folder := os.environ.get("OSPROFILER_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/report-long-names.png")


def awkward() -> model.Trace:
    """Long names and errors at every depth, and at the very end a span that never ended."""
    manager = "nova.compute.manager.ComputeManager."
    spans = [
        Made("wsgi POST", None, 0, 100_000, info={"request": {"path": "/v2.1/servers"}}),
        Made("db INSERT", "wsgi POST", 100, 99_000, info={"db": {"statement": f"INSERT INTO a ({'column, ' * 20})"}}),
        Made(f"{manager}attach_volume_to_an_instance", "wsgi POST", 1_000, 90_000),
        Made("a_name_without_any_place_to_break_it" * 3, "wsgi POST", 2_000, 2_100),
    ]
    for i in range(26):
        spans.append(Made(f"{i} {manager}build", spans[-1].name if i else "wsgi POST", 5_000 + i, 99_900 - i))
    spans.append(Made("rpc cast that hangs", "wsgi POST", 100_000, None, follows=True))
    found = records(*spans)
    for each in found:
        number = int(each["trace_id"][-12:], 16)
        each["service"] = f"a-service-{number % 7}"
        if each["name"].endswith("-stop") and number % 3:
            each["info"]["etype"] = "oslo_messaging.rpc.client.RemoteErrorOfALongName"
        if each["name"].endswith("-stop") and number % 2:
            each["info"]["response"] = {"status": 503}
    return model.from_records(found)


SIZES = pytest.mark.parametrize("size", [(1600, 900), (390, 844)], ids=["desk", "phone"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

# What of a row lies over something else or outside its column, and what is cut without an ellipsis.
MISPLACED = """rows => rows.flatMap(row => {
    const name = row.querySelector(".name"), column = name.getBoundingClientRect(), found = [];
    const parts = [...name.children].filter(part => part.getBoundingClientRect().width);
    parts.forEach((part, i) => {
        const box = part.getBoundingClientRect();
        if (box.right > column.right + 0.5) found.push(`outside: ${part.textContent}`);
        if (i && box.left < parts[i - 1].getBoundingClientRect().right - 0.5) found.push(`over: ${part.textContent}`);
    });
    for (const part of [...parts, ...name.querySelectorAll(".op > *")]) {
        if (part.children.length || part.scrollWidth <= part.clientWidth + 1) continue;
        const style = getComputedStyle(part);
        if (style.overflowX !== "hidden" || style.textOverflow !== "ellipsis")
            found.push(`spills: ${part.textContent}`);
        if (part.clientWidth < 1.1 * parseFloat(style.fontSize))
            found.push(`too narrow: ${part.textContent}`);
    }
    return found;
})"""


@pytest.mark.parametrize("size", [(1600, 900), (1000, 700), (700, 900), (390, 844)])
def test_no_part_of_a_row_lies_over_another(opened: Opened, size: tuple[int, int]) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert page.eval_on_selector_all(".row", MISPLACED) == []
    widths = page.eval_on_selector_all(".op", "all => all.map(op => op.getBoundingClientRect().width)")
    assert min(widths) >= 39  # a name never gives way altogether
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@SIZES
@pytest.mark.parametrize(
    ("view", "heads", "row"), [("2", "#stats-heads", "#stats"), ("3", "#span-heads", "#span-scroll")]
)
def test_each_column_has_its_own_head(opened: Opened, size: tuple[int, int], view: str, heads: str, row: str) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.keyboard.press(view)
    shown = (
        "all => all.map(each => each.getBoundingClientRect())"
        ".filter(box => box.width).map(box => [box.left, box.right])"
    )
    above = page.eval_on_selector_all(f"{heads} [aria-sort]", shown)
    below = page.eval_on_selector_all(f"{row} tr:first-child > td, {row} .row:first-child > *", shown)
    assert len(above) == len(below) >= 3
    for head, cell in zip(above, below, strict=True):
        assert head == pytest.approx(cell, abs=20)  # a head has room for its arrow


def test_a_badge_follows_a_short_name_at_once(opened: Opened) -> None:
    page = opened(boot())
    row = page.locator(".row", has_text="joins 2")
    op, badge = (row.locator(part).bounding_box() for part in (".op > *", ".badge"))
    assert badge["x"] - (op["x"] + op["width"]) < 10


def test_badges_give_way_before_names(opened: Opened) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": 1600, "height": 900})
    cut = page.eval_on_selector_all(
        ".row:has(.badge.bad)",
        """rows => rows.map(row => [".op > *", ".badge.bad"].map(part =>
            [...row.querySelectorAll(part)].some(each => each.scrollWidth > each.clientWidth + 1)))""",
    )
    assert [False, True] in cut
    assert all(badge for name, badge in cut if name)


# Contrast of each text with what is painted behind it, lowest first; text over a bar counts as on the bar.
CONTRAST = """() => {
    const channels = text => { const pen = document.createElement("canvas").getContext("2d");
        pen.fillStyle = text; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const own = channels(getComputedStyle(at).backgroundColor);
            if (own[3]) return own;
            const bar = at.classList.contains("inside") && at.parentElement.querySelector(".bar");
            if (bar) return channels(getComputedStyle(bar).backgroundColor);
        }
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (element.closest("script, noscript")) continue;
        const both = [light(channels(getComputedStyle(element).color)), light(behind(element))];
        const [a, b] = both.sort((x, y) => y - x);
        found.push([(a + 0.05) / (b + 0.05), element.className, element.textContent]);
    }
    return found.sort((x, y) => x[0] - y[0]);
}"""


@SIZES
@SCHEMES
def test_all_text_can_be_read(opened: Opened, size: tuple[int, int], scheme: str) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    assert page.locator(".took.inside").count()
    for key in "e", "Home", "End", "Enter", "?":
        page.keyboard.press(key)
        found = page.evaluate(CONTRAST)
        assert [each for each in found if each[0] < 4.5] == []
    page.fill("#search", "a-service")
    assert page.locator(".row.hit").count()
    found = page.evaluate(CONTRAST)
    assert [each for each in found if each[0] < 4.5] == []


@SIZES
def test_the_details_do_not_hide_their_row(opened: Opened, size: tuple[int, int]) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    top, upper, lower, panel, on_top = page.evaluate(
        """() => {
        const box = selector => document.querySelector(selector).getBoundingClientRect();
        const row = box(".row.chosen"), name = box(".row.chosen .op");
        const seen = document.elementFromPoint(name.left + 4, name.top + name.height / 2);
        return [box("#scroll").top, row.top, row.bottom, box("#details").top, seen.closest(".row.chosen") !== null];
        }"""
    )
    assert top <= upper
    assert lower <= panel + 0.5
    assert on_top


@SIZES
def test_the_marks_of_the_ruler_differ_at_every_depth(opened: Opened, size: tuple[int, int]) -> None:
    day_us = 86_400_000_000
    for at_us in 0, 5_000, 2_000_000, 600_000_000, day_us:
        page = opened(made(Made("all", None, 0, day_us + 100), Made("one", "all", at_us, at_us)))
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.keyboard.press("End")
        for _ in range(45):
            page.keyboard.press("+")
            shown = ticks(page)
            assert len(set(shown)) == len(shown) >= 1
        assert len(shown) == 5 or size[0] == 390
        boxes = page.eval_on_selector_all(
            "#ticks span",
            """all => all.map(tick => { const range = document.createRange(); range.selectNodeContents(tick);
            const box = range.getBoundingClientRect(); return [box.left, box.right]; })""",
        )
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(boxes))
        page.close()


@SIZES
def test_what_begins_at_the_very_end_has_a_bar(opened: Opened, size: tuple[int, int]) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.keyboard.press("End")
    row = page.locator(".row", has_text="rpc cast")
    lane, bar, label = (row.locator(part).bounding_box() for part in (".lane", ".bar", ".took"))
    assert bar["width"] >= 10
    assert bar["x"] + bar["width"] <= lane["x"] + lane["width"] + 0.5
    assert label["x"] + label["width"] <= bar["x"]


def test_controls_in_names_are_shown_and_do_nothing(opened: Opened) -> None:
    name, shown = "two\nlines \u202eexe.\u2066fdp\u061c", "two lines ⟨U+202E⟩exe.⟨U+2066⟩fdp⟨U+061C⟩"
    info = {"request": {"path": "/\u202ex"}, "\u202ekey": "a\nb\u202e"}
    page = opened(made(Made("root", None, 0, 9), Made(name, "root", 1, 5, info=info), Made("after", "root", 6, 7)))
    assert names(page) == ["root", shown, "after"]
    heights = page.eval_on_selector_all(".op", "all => all.map(op => op.getBoundingClientRect().height)")
    assert len(set(heights)) == 1
    page.locator(".row").nth(1).click()
    assert page.text_content("#details h2").startswith(shown)
    assert "⟨U+202E⟩key" in page.text_content("#details")
    assert "a\nb⟨U+202E⟩" in page.text_content("#details")
    everything = page.evaluate(
        "[document.body, ...document.querySelectorAll('[title]')].map(each => each.innerText + each.title).join()"
    )
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u061c]", everything)
    of_any_id = opened(model.from_records([record(1, "start", 0, "a\n\u202eb")]))
    assert of_any_id.inner_text("#facts").endswith("a ⟨U+202E⟩b")


def test_names_say_what_they_are_of(opened: Opened) -> None:
    page = opened(awkward())
    page.locator(".row").nth(1).click()
    keys = page.locator("#details section").first.locator("td:first-child").all_text_contents()
    assert keys[:2] == ["span id", "parent id"]
    assert page.text_content("#details h2").startswith("db INSERT INTO a (")
    for _ in range(3):  # whatever path is shown
        buttons = page.eval_on_selector_all(
            "button",
            "all => all.filter(each => each.checkVisibility())"
            ".map(each => each.getAttribute('aria-label') || each.textContent)",
        )
        assert "Close" in buttons
        assert [(a, b) for a, b in itertools.permutations(buttons, 2) if a.lower() in b.lower()] == []
        page.click("#path")


def test_what_is_not_printed_is_told_on_the_first_page(opened: Opened) -> None:
    page = opened(wide(3_000))
    assert not page.is_visible("#unprinted")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.inner_text("#unprinted") == "Printed: the first 2000 of 3000 rows. Collapse parts to print others."
    assert page.locator("#unprinted").bounding_box()["y"] < page.locator(".row").first.bounding_box()["y"]
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.is_visible("#unprinted")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def hits(page: Page, query: str) -> list[str]:
    page.fill("#search", query)
    return [row["name"] for row in rows(page) if row["hit"]]


def test_the_search_takes_words_quoted_text_and_fields(opened: Opened) -> None:
    page = opened(pictured())
    assert hits(page, "select flavors") == ["db SELECT"]  # both, anywhere
    assert hits(page, "select instances") == []
    assert hits(page, '"flavors where"') == ["db SELECT"]
    assert hits(page, '"where flavors"') == []
    assert hits(page, 'operation="db UPDATE"') == ["db UPDATE"]
    assert hits(page, "operation=db") == []  # a value matches as a whole
    assert hits(page, "operation=db*") == ["db SELECT", "db UPDATE"]
    assert hits(page, "service=glance-ap?") == hits(page, "service=glance-api") == ["wsgi GET"]
    assert hits(page, "db.statement=*flavors*") == hits(page, "statement=*flavors*") == ["db SELECT"]
    assert hits(page, "error=DBDeadlock service=nova-compute") == ["db UPDATE"]
    assert hits(page, '"id = ?"') == ["db SELECT"]
    assert hits(page, "vm_state=?") == ["db UPDATE"]  # as it stands in the statement
    for odd in '"', "=", "==", "a=", '="', "*", "(", "operation=(", "\\":  # typed half way
        page.fill("#search", odd)
    page.fill("#search", "rpc")
    page.click("#next")
    page.click("#next")
    assert page.text_content("#hits") == "2 of 4"
    page.click("#previous")
    assert page.text_content("#hits") == "1 of 4"
    page.focus("#search")
    press(page, "Shift+Enter", "Enter", "Enter")
    assert page.text_content("#hits") == "2 of 4"


def test_statistics(opened: Opened) -> None:
    spans = [Made("wsgi GET", None, 0, 1_000), *(Made(f"db {i}", "wsgi GET", 10 * i, 10 * i + i) for i in range(1, 41))]
    found = records(*spans, Made("hangs", "wsgi GET", 900, None))
    for each in found:
        if each["name"].endswith("-stop") and each["trace_id"].endswith("003"):
            each["info"]["etype"] = "ValueError"
        operation = each["info"].get("osprofiler", {})
        if str(operation.get("operation", "")).startswith("db "):
            operation["operation"] = "db"
    trace = model.from_records(found)
    page = opened(trace)
    press(page, "2")
    table = [line.split("\t") for line in page.inner_text("#statistics table").splitlines()]
    assert [head.strip(" ↓↑") for head in table[0]] == [
        "name",
        "count",
        "errors",
        "total",
        "self",
        "min",
        "avg",
        "p95",
        "max",
    ]
    assert table[1:] == [
        ["db svc", "40", "1", "820 µs", "820 µs", "1 µs", "21 µs", "38 µs", "40 µs"],
        ["wsgi GET svc", "1", "", "1.00 ms", "615 µs", "1.00 ms", "1.00 ms", "1.00 ms", "1.00 ms"],
        ["hangs svc", "1", "", "", "", "", "", "", ""],
    ]
    stats = next(each for each in statistics.of([trace]) if each.operation == "db")  # the terminal says the same
    assert (stats.count, stats.total_us, stats.self_us, stats.p95_us, stats.max_us) == (40, 820, 820, 38, 40)
    first = page.locator("#stats tr").first
    page.click("#stats-heads button:text-is('count')")
    page.click("#stats-heads button:text-is('count')")
    assert first.inner_text().startswith("wsgi GET")
    assert page.get_attribute("#stats-heads .head-count", "aria-sort") == "ascending"
    page.select_option("#by", "service")
    assert page.inner_text("#stats tr").startswith("svc\t42\t1\t")
    wait_until(lambda: page.evaluate("location.hash") == "#view=statistics&by=service")
    page.select_option("#by", "operation")
    page.click("#stats button:text-is('db')")
    assert page.text_content("#hits") == "40 found"
    assert page.input_value("#search") == 'operation="db"'
    assert page.is_visible("#timeline")
    assert chosen(page) == ["db"]
    press(page, "2")
    assert page.locator("#stats tr.hit").count() == 1


def test_the_table_of_spans(opened: Opened) -> None:
    page = opened(pictured())
    press(page, "3")
    lines = page.locator("#span-rows .row")
    assert "rpc build" in lines.first.inner_text()  # the longest
    page.click("#span-heads button:text-is('start')")
    assert lines.first.inner_text().startswith("wsgi POST")
    page.click("#span-heads button:text-is('name')")
    page.focus("#span-scroll")
    press(page, "Home")
    assert page.locator("#span-rows .row.chosen").inner_text().startswith("compute.define")
    press(page, "j", "Enter")
    assert page.text_content("#details h2").startswith("compute.power_on")
    page.fill("#search", "rpc")
    assert page.locator("#span-rows .row.hit").count() == 4
    press(page, "Enter")
    assert page.locator("#span-rows .row.chosen").inner_text().startswith("rpc build")
    page.click("#details button:text-is('To its row')")
    assert page.is_visible("#timeline")
    assert chosen(page) == ["rpc build"]


def test_the_flame_graph(opened: Opened) -> None:
    page = opened(pictured())
    press(page, "4")
    assert page.locator("#flame .frame").count() == 14  # the join is too short to be seen
    page.focus("#flame")
    press(page, "ArrowDown", "ArrowDown", "ArrowRight")
    assert page.inner_text("#step").startswith("scheduler.ask [nova-compute] 1 span, 25.00 ms, itself 5.00 ms")
    assert (
        page.locator(f"#{page.get_attribute('#flame', 'aria-activedescendant')}")
        .inner_text()
        .startswith("scheduler.ask")
    )
    press(page, "Enter")
    assert page.locator("#flame .frame").count() == 3  # itself, above, below
    press(page, "0")
    assert page.locator("#flame .frame").count() == 14
    page.fill("#search", "glance")
    assert page.locator("#flame .frame:not(.missed)").all_inner_texts() == ["wsgi GET [glance-api]"]
    page.click("#flame .frame:not(.missed)")
    page.click("#step button")
    assert page.input_value("#search") == 'service="glance-api" operation="wsgi GET"'
    assert chosen(page) == ["wsgi GET"]


def test_the_service_map(opened: Opened) -> None:
    page = opened(pictured())
    press(page, "5")
    drawing = page.locator("#services svg")
    assert drawing.locator(".count").all_text_contents() == ["5 x 70.10 ms (1 failed)", "1 x 58.00 ms"]
    assert page.inner_text("#services tbody").splitlines() == [
        "nova-api\tnova-compute\t5\t1\t70.10 ms",
        "nova-compute\tglance-api\t1\t\t58.00 ms",
    ]
    drawing.locator("[data-service=glance-api]").focus()
    press(page, "Enter")
    assert page.input_value("#search") == 'service="glance-api"'
    assert chosen(page) == ["wsgi GET"]
    press(page, "5")
    assert drawing.locator(".hit").text_content().startswith("glance-api")


def test_views_are_tabs_that_the_address_remembers(opened: Opened) -> None:
    page = opened(pictured())
    names = ["Timeline", "Statistics", "Table", "Flame graph", "Service map"]
    assert page.locator("[role=tab]").all_inner_texts() == names
    page.focus("[role=tab][aria-selected=true]")
    for name in [*names[1:], names[0]]:
        press(page, "ArrowRight")
        assert page.evaluate("document.activeElement.textContent") == name
        panel = page.get_attribute("[role=tab][aria-selected=true]", "aria-controls")
        assert page.locator("[role=tabpanel]:visible").evaluate_all("all => all.map(each => each.id)") == [panel]
    press(page, "3", "/")
    page.keyboard.type("rpc build")
    wait_until(lambda: page.evaluate("location.hash") == "#view=table&q=rpc+build")
    press(page, "Escape")
    page.reload()
    assert page.is_visible("#table")
    assert page.text_content("#hits") == "2 found"
    press(page, "4")
    page.go_back()
    wait_until(lambda: page.is_visible("#table"))
    page.evaluate("location.hash = '#view=nonsense&by=nonsense&other=1'")
    wait_until(lambda: page.is_visible("#timeline"))
    assert page.input_value("#search") == ""


def test_a_link_leads_to_a_span(opened: Opened) -> None:
    trace = wide(3_000)
    page = opened(trace)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(page, "End", "Enter")
    page.click("#details button:text-is('Copy link')")
    wait_until(lambda: page.text_content("#announcement") == "Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    last = list(trace.walk())[-1][1].trace_id
    assert link == f"{page.url.split('#')[0]}#span={last}"
    page.click("#fold")
    page.goto("about:blank")
    page.goto(link)
    (row,) = page.locator(".row.chosen").all()
    scroll = page.locator("#scroll").bounding_box()
    assert scroll["y"] <= row.bounding_box()["y"] < scroll["y"] + scroll["height"]
    assert last in page.inner_text("#details")
    jaeger = page.locator("#details tr:has-text('span id in Jaeger') td").last.inner_text()
    press(page, "Home")
    page.evaluate("id => { location.hash = `#span=${id}`; }", jaeger)
    wait_until(lambda: last in page.inner_text("#details"))
    page.evaluate("location.hash = '#span=%E2%80%AEother'")
    wait_until(lambda: page.text_content("#hits") == "span ⟨U+202E⟩other is not in this trace")


def test_the_width_of_the_names(opened: Opened) -> None:
    page = opened(pictured())
    width = lambda: page.locator(".row .name").first.bounding_box()["width"]  # noqa: E731
    assert page.get_attribute("#split", "aria-valuenow") == "42"
    before, split = width(), page.locator("#split").bounding_box()
    page.mouse.move(split["x"] + 6, split["y"] + 10)
    page.mouse.down()
    page.mouse.move(split["x"] + 206, split["y"] + 10, steps=4)
    page.mouse.up()
    wait_until(lambda: abs(width() - before - 200) < 14)
    page.focus("#split")
    press(page, "Home")
    assert page.get_attribute("#split", "aria-valuenow") == "15"
    press(page, "ArrowRight", "]")
    assert page.get_attribute("#split", "aria-valuenow") == "19"
    press(page, "Enter")
    assert width() == before
    assert len(ticks(page)) == 5


def first_ms(page: Page) -> float:
    """The first mark of the ruler, which must be in milliseconds."""
    number, unit = ticks(page)[0].split()
    assert unit == "ms"
    return float(number)


def test_the_time_axis_is_moved_and_zoomed_by_pointer_wheel_and_keys(opened: Opened) -> None:
    page = opened(boot())
    press(page, "+")
    assert ticks(page)[0] == "100.00 ms"
    lane = page.locator("#ticks").bounding_box()
    y, unit = page.locator(".row").nth(3).bounding_box()["y"] + 13, lane["width"] / 4  # a quarter of 200 ms
    page.mouse.move(lane["x"] + unit, y)
    page.mouse.down()
    page.mouse.move(lane["x"] + 2 * unit, y, steps=4)
    page.mouse.up()
    wait_until(lambda: abs(first_ms(page) - 50) < 2)
    assert chosen(page) == []  # a drag is no click
    page.mouse.click(lane["x"] + unit, y)
    assert chosen(page) == ["ask compute-2"]
    press(page, "Escape", "Shift+ArrowRight")
    assert abs(first_ms(page) - 100) < 2
    press(page, *["Shift+ArrowRight"] * 5)
    assert page.text_content("#announcement") == "200.00 ms to 400.00 ms"  # not beyond the end
    page.mouse.move(lane["x"] + 2 * unit, y)
    page.mouse.wheel(-unit, 0)
    wait_until(lambda: abs(first_ms(page) - 150) < 2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    wait_until(lambda: 155 < first_ms(page) < 250)
    page.click("#whole")
    assert ticks(page)[0] == "0 µs"
    assert not page.is_visible("#whole")


def test_two_fingers_zoom(opened: Opened) -> None:
    page = opened(boot())
    box = page.locator(".row .lane").nth(2).bounding_box()
    page.evaluate(
        """([x, y]) => {
            const send = (kind, id, x) => document.elementFromPoint(x, y).dispatchEvent(
                new PointerEvent(kind, {pointerId: id, clientX: x, clientY: y, bubbles: true, pointerType: "touch"}));
            Element.prototype.setPointerCapture = () => {};  // these pointers are made up
            send("pointerdown", 11, x - 50); send("pointerdown", 12, x + 50);
            send("pointermove", 12, x + 150); send("pointermove", 11, x - 150);
            send("pointerup", 11, x - 150); send("pointerup", 12, x + 150);
        }""",
        [box["x"] + box["width"] / 2, box["y"] + 13],
    )
    wait_until(lambda: page.is_visible("#whole"))
    first, second = (float(tick.split()[0]) for tick in ticks(page)[:2])
    assert 20 < second - first < 40  # 400 ms became about 133


def test_a_row_says_what_it_is_of(opened: Opened) -> None:
    page = opened(pictured())
    label = page.locator(".row").nth(14).get_attribute("aria-label")
    assert label == "db UPDATE instances SET vm_state=?, nova-compute, 11.00 ms, at 385.00 ms, DBDeadlock"


@SIZES
@SCHEMES
def test_each_view_fits_and_can_be_read(opened: Opened, size: tuple[int, int], scheme: str) -> None:
    page = opened(awkward())
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    page.fill("#search", "build")
    page.locator("#search").blur()
    for key in "12345":
        press(page, key)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert [each for each in page.evaluate(CONTRAST) if each[0] < 4.5] == []


def test_any_trace_makes_a_page_without_complaints(opened: Opened) -> None:
    @settings(max_examples=12, deadline=None)
    @given(traces())
    def check(trace: model.Trace) -> None:
        page = opened(trace)
        for key in "1", "j", "e", "p", "c", "z", "+", "Shift+ArrowRight", "Enter", "2", "3", "j", "4", "5", "1", "0":
            press(page, key)
        assert page.locator("#rows .row").count() == len(trace.spans)
        page.close()

    check()


def test_the_pictures_of_the_documentation(opened: Opened, tmp_path: Path) -> None:
    folder = Path(os.environ.get("OSPROFILER_SCREENSHOTS") or tmp_path)
    page = opened(pictured())
    page.set_viewport_size({"width": 1280, "height": 720})
    page.keyboard.press("c")
    page.screenshot(path=str(folder / "report-light.png"))
    page.emulate_media(color_scheme="dark")
    page.locator(".row", has_text="join").first.click()
    page.screenshot(path=str(folder / "report-dark.png"))
    assert (folder / "report-light.png").read_bytes() != (folder / "report-dark.png").read_bytes()
