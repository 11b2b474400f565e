# SPDX-License-Identifier: Apache-2.0
"""The HTML pages of sets in a real browser: what they show and do, and that nothing leaves them."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from osprofiler.reports import model
from osprofiler.reports.analysis import comparison, path_set, service_map, set_comparison, trace_profile
from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.views import map_views, pair_html, set_html
from tests.integration.conftest import OpenPage
from tests.unit import boots
from tests.unit.reports_kit import Made, made
from tests.unit.test_reports_views import HOSTILE_NAMES


def profiles(traces: Iterator[model.Trace], steps: Steps) -> list[trace_profile.TraceProfile]:
    return [trace_profile.of(trace, steps) for trace in traces]


def paths(link: str = "", traces: int = 40) -> str:
    some = profiles(
        (boots.boot(seed, error_in="db SELECT" if seed % 9 == 0 else "") for seed in range(traces)), Steps()
    )
    return "".join(set_html.of_paths(path_set.groups(some), link))


def change() -> str:
    steps = Steps()
    before = profiles((boots.boot(seed) for seed in range(40)), steps)
    after = profiles((boots.boot(seed, {"verify_checksum": 1.5}) for seed in range(40, 80)), steps)
    return "".join(set_html.of_change(set_comparison.compare(before, after), before, after))


def pair() -> str:
    """Two boots: a step is slower, one appeared, one vanished."""
    before, after = boots.boot(0), boots.boot(0, {"verify_checksum": 2})
    renamed = next(span for span in after.spans.values() if span.operation == "db SELECT")
    renamed.operation = "db INSERT audit"
    return "".join(pair_html.text(before, after, comparison.compare(before, after), 100))


def services() -> str:
    return map_views.html_text(service_map.of(boots.boot(seed) for seed in range(3)))


def test_the_critical_path_of_a_set(open_page: OpenPage) -> None:
    page = open_page(paths())
    assert page.inner_text("#title") == "Critical path of 40 traces"
    assert page.inner_text("#rows tr:first-child td:first-child button") == "verify_checksum"
    assert page.inner_text("#chosen-head") == "verify_checksum [demo-image]"
    assert page.locator(".bucket").count() > 5
    assert page.inner_text("#examples li:first-child code").startswith("osprofiler trace show ")
    assert page.inner_text("#errors td:first-child") == "ValueError in db SELECT"
    page.click("#views button:text-is('slowest')")
    assert page.inner_text("#facts").startswith("2 traces, ")
    page.click(".frame:has-text('rpc build')")  # zooms: nothing beside it is left
    assert page.locator(".frame:has-text('verify_checksum')").count() == 0
    page.keyboard.press("Escape")
    assert page.locator(".frame:has-text('verify_checksum')").count() == 1
    page.fill("#search", "db")
    assert page.locator("#rows tr").count() == 3


@pytest.mark.parametrize("traces", [6, 7, 8])
def test_an_example_is_shown_once(open_page: OpenPage, traces: int) -> None:
    shown = open_page(paths(traces=traces)).locator("#examples code").all_inner_texts()
    assert len(shown) == len(set(shown)) == {6: 6, 7: 5, 8: 6}[traces]


def test_keys_reach_every_part(open_page: OpenPage) -> None:
    page = open_page(paths())
    page.keyboard.press("Escape")
    page.focus("#flame")
    for key in "ArrowDown", "ArrowDown", "ArrowRight":
        page.keyboard.press(key)
    assert page.inner_text("#chosen-head") == "http GET [demo-client]"
    page.keyboard.press("Enter")
    assert page.locator(".frame:has-text('http POST')").count() == 0
    page.focus("#heat")
    page.keyboard.press("ArrowRight")
    assert "osprofiler trace show" in page.inner_text("#cell")
    page.keyboard.press("t")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_a_link_leads_to_the_page_of_a_trace(open_page: OpenPage) -> None:
    page = open_page(paths("http://jaeger:16686/trace/{id}"))
    link = page.locator("#examples a").first
    assert link.get_attribute("href") == f"http://jaeger:16686/trace/{link.inner_text()}"
    assert link.get_attribute("rel") == "noopener noreferrer"


def test_a_change_is_red_in_the_flame_graph(open_page: OpenPage) -> None:
    page = open_page(change())
    assert page.inner_text("#title") == "40 traces before, 40 traces after: 1 step changed"
    colours = {
        name: page.eval_on_selector(f".frame:has-text('{name}')", "frame => getComputedStyle(frame).backgroundColor")
        for name in ("verify_checksum", "db SELECT", "boot")
    }
    red, green, blue = (int(part) for part in colours["verify_checksum"].removeprefix("rgb(").rstrip(")").split(","))
    assert red > max(green, blue) + 40
    assert colours["db SELECT"] == colours["boot"]
    assert page.inner_text("#rows tr:first-child td.worse").startswith("slower +")


def test_two_traces_are_compared_step_by_step(open_page: OpenPage) -> None:
    page = open_page(pair())
    assert page.inner_text("#title").startswith("boot: +")
    assert page.inner_text("#title").endswith(", 3 steps changed")
    kinds = page.locator("#rows td:nth-child(2)").all_inner_texts()
    assert sorted(kind.split()[0] for kind in kinds if kind != "same") == ["appeared", "slower", "vanished"]
    names = page.locator("#rows button").all_inner_texts()
    assert names[0] == "boot"  # a tree: each step below the one above it
    indents = page.eval_on_selector_all("#rows td.name", "all => all.map(cell => parseInt(cell.style.paddingLeft))")
    assert indents[0] == 0 < max(indents)
    assert all(one + 12 >= other for one, other in itertools.pairwise(indents))
    page.click("#tree")
    assert page.locator("#rows button").first.inner_text() == "verify_checksum"
    assert page.inner_text("#chosen-head").startswith("verify_checksum")
    assert not page.is_visible("#spread-part")
    shown = lambda: page.locator(".frame", has_text="db INSERT audit").count()  # noqa: E731
    assert shown() == 1
    page.click("#views button:text-is('before')")
    assert shown() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1600, 390])
@pytest.mark.parametrize("text", [paths, change, pair, services], ids=["paths", "change", "pair", "services"])
def test_every_page_fits_every_screen(text: Callable[[], str], width: int, scheme: str, open_page: OpenPage) -> None:
    page = open_page(text(), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_names_in_a_page_are_text(open_page: OpenPage) -> None:
    steps = Steps()
    spans = [
        Made(f"{i}", None if i == 0 else "0", 10 * i, 10 * i + 5 if i else 1_000) for i in range(len(HOSTILE_NAMES))
    ]
    some = []
    for _ in range(2):
        trace = made(*spans)
        for span, name in zip(trace.spans.values(), HOSTILE_NAMES, strict=True):
            span.operation = name
        some.append(trace_profile.of(trace, steps))
    page = open_page("".join(set_html.of_paths(path_set.groups(some))))
    assert page.locator("#rows tr").count() == len(HOSTILE_NAMES)
    assert page.locator("img, iframe, form").count() == 0
