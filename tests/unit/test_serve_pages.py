# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve``: our own pages, and the files of Jaeger's UI."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from osprofiler import exc
from osprofiler.drivers import base
from osprofiler.records import ids
from osprofiler.records.record import microseconds, timestamp
from osprofiler.serve.application import Application
from osprofiler.serve.ui_files import UiFiles
from osprofiler.testing.records import TRACE
from tests.unit.serve_kit import served, serving, trace, url
from tests.unit.wsgi_asking import ask

__all__ = ["served", "url"]


# Our own pages


def test_the_list_has_the_columns_of_the_command(served: Application) -> None:
    page = ask(served, "/osprofiler/?service=s*&operation=build&minDuration=100us&error=true&limit=5").text
    assert f'href="trace/{TRACE}"' in page
    for text in ("2026-11-18", "1.00 ms", ">3<", ">1<", "boot", "svc", 'value="s*"', 'value="100us"', "checked"):
        assert text in page
    assert "No traces match." in ask(served, "/osprofiler/?service=nobody").text


@pytest.mark.parametrize("page", ["", "set"])
@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("minDuration=5", 400, "a duration with its unit like 250ms, 1.5s or 2h, not &#x27;5&#x27;"),
        ("tag=words", 400, "name=value, not &#x27;words&#x27;"),
        ("limit=0&lookback=9y", 400, "one of 1h, 6h, 1d, 7d, not &#x27;9y&#x27;"),
        ("limit=0", 400, "should be from 1 to"),
        ("service=no%3Cbody", {"": 200, "set": 404}, "o traces match"),
    ],
)
def test_a_form_that_cannot_be_answered_comes_back_with_the_reason(
    page: str, query: str, status: int | dict[str, int], reason: str, served: Application
) -> None:
    response = ask(served, f"/osprofiler/{page}?{query}")
    assert response.status == (status if isinstance(status, int) else status[page])
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert reason in response.text
    name, value = parse_qsl(query)[0]
    assert f'name="{name}" value="{html.escape(value)}"' in response.text


def test_text_of_traces_is_no_markup(url: str) -> None:
    base.get_driver(url).write(trace(service="<script>alert(1)</script>"))
    served = serving(url)
    for path in ("/osprofiler/", "/osprofiler/?service=%22%3E%3Cscript%3E", "/osprofiler/set"):
        assert "<script>alert" not in ask(served, path).text
        assert '"><script>' not in ask(served, path).text


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/osprofiler/"),
        ("/search", "/osprofiler/"),
        ("/trace/abc", "/osprofiler/trace/abc"),
        ("/trace/%0d%0aX:y", "/osprofiler/trace/%0D%0AX%3Ay"),
        ("//evil.example", None),
        ("/trace//evil.example", None),
    ],
)
def test_paths_of_jaegers_ui_lead_to_our_pages(path: str, target: str | None, served: Application) -> None:
    response = ask(served, path)
    assert (response.status, response.headers.get("location")) == ((302, target) if target else (404, None))


def test_a_name_of_several_traces_is_told_so(url: str, served: Application) -> None:
    base.get_driver(url).write(trace(f"{TRACE[:-1]}0"))
    response = ask(served, f"/osprofiler/trace/{TRACE[:6]}")
    assert (response.status, TRACE in response.text) == (404, True)


def test_a_trace_is_found_by_all_that_names_it(served: Application) -> None:
    for name in (TRACE, TRACE.replace("-", ""), TRACE[:6], "latest"):
        assert ask(served, f"/osprofiler/trace/{name}").status == 200


def test_a_set_that_is_cut_says_so(url: str, served: Application) -> None:
    base.get_driver(url).write(trace(ids.uuid_text(5)))
    assert "the newest; there may be more" in ask(served, "/osprofiler/set?limit=1").text
    assert "there may be more" not in ask(served, "/osprofiler/set").text


def test_older_traces_are_a_link_away(url: str) -> None:
    """A trace that began in the same microsecond as the last one is not lost between two pages."""
    base_ids = [ids.uuid_text(number << 64 | 1) for number in range(1, 6)]
    for number, base_id in enumerate(base_ids):
        made = trace(base_id, service='a & "b"')
        at_us = {each["timestamp"]: microseconds(each["timestamp"]) for each in made}
        later = [{**each, "timestamp": timestamp(at_us[each["timestamp"]] + number // 2 * 10**6)} for each in made]
        base.get_driver(url).write(later)
    served = serving(url)
    address, seen = "/osprofiler/?service=a+%26+%22b%22&limit=3", set()
    for _ in range(3):
        text = ask(served, address).text
        seen |= {base_id for base_id in base_ids if base_id in text}
        link = re.search(r'href="\./(\?[^"]*)">Older', text)
        if not link:
            break
        address = f"/osprofiler/{html.unescape(link[1])}"
    assert seen == set(base_ids)
    assert not link


def test_tags_in_the_form_may_be_in_quotes(url: str) -> None:
    made = trace()
    made[1]["info"]["osprofiler"]["tags"] = {"image": "cirros of today", "size": 5}
    base.get_driver(url).write(made)
    served = serving(url)
    for tags, count in (('image="cirros of *" size=5', 1), ("image=cirros", 0), ("", 1)):
        assert ask(served, f"/osprofiler/?{urlencode({'tag': tags})}").text.count(f"trace/{TRACE}") == count
    assert ask(served, "/osprofiler/?tag=a%3D%22b").status == 400


# Jaeger's UI


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    folder = tmp_path / "ui"
    (folder / "static" / "media").mkdir(parents=True)
    (folder / "index.html").write_text(
        '<base href="/" data-inject-target="BASE_URL" />\n'
        "const JAEGER_CONFIG = DEFAULT_CONFIG;\nconst JAEGER_VERSION = DEFAULT_VERSION;\n"
        "const JAEGER_STORAGE_CAPABILITIES = DEFAULT_STORAGE_CAPABILITIES;\n"
        "const JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;\n"
    )
    (folder / "static" / "main.js").write_text("main()")
    (folder / "static" / "media" / "a.svg").write_text("<svg/>")
    (folder / "secret").write_text("secret")
    (folder / "static" / "link").symlink_to(folder / "secret")
    return folder


def test_the_ui_is_served_with_its_values(ui: Path, url: str, tmp_path: Path) -> None:
    base.get_driver(url).write(trace())
    config = tmp_path / "config.json"
    config.write_text('{"menu": "</script>"}')
    served = serving(url, base_path="/jaeger", ui=UiFiles(ui, "/jaeger", config))
    for path in ("/jaeger/", "/jaeger/search", f"/jaeger/trace/{TRACE}"):
        page = ask(served, path)
        assert page.status == 200
        assert '<base href="/jaeger/" data' in page.text
        assert 'JAEGER_CONFIG = {"menu": "\\u003c/script>"};' in page.text
        assert 'JAEGER_STORAGE_CAPABILITIES = {"archiveStorage": false};' in page.text
        assert '"searchWithoutServiceName": true' in page.text
        assert '"gitVersion": "osprofiler' in page.text
    script = ask(served, "/jaeger/static/main.js")
    assert (script.text, script.headers["content-type"]) == ("main()", "text/javascript")
    assert "max-age" in script.headers["cache-control"]
    assert ask(served, "/jaeger/static/media/a.svg").headers["content-type"] == "image/svg+xml"
    assert ask(served, "/jaeger/api/services").json["data"] == ["svc"]
    assert ask(served, "/jaeger/osprofiler/").status == 200
    assert ask(served, "/jaeger/api/nothing").status == 404
    assert ask(served, "/search").status == 404


def test_a_newer_ui_is_told_its_path(ui: Path, url: str) -> None:
    """Its page has no element for it, but a script that makes one."""
    (ui / "index.html").write_text("<html><head><script>insert('<base href=\"' + path)</script></head></html>")
    page = ask(serving(url, base_path="/traces", ui=UiFiles(ui, "/traces")), "/traces/")
    assert page.text.startswith('<html><head><base href="/traces/" /><script>')


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "%2e%2e/secret",
        "media/../../secret",
        "/etc/passwd",
        "link",
        "media",
        "nothing",
        "..%00/secret",
        "..",
    ],
)
def test_nothing_outside_of_the_uis_files_is_served(name: str, ui: Path, url: str) -> None:
    base.get_driver(url).write(trace())
    response = ask(serving(url, ui=UiFiles(ui, "")), f"/static/{name}")
    assert response.status in (400, 404)
    assert "secret" not in response.text


def test_a_folder_that_is_no_ui_is_one_line(tmp_path: Path, ui: Path) -> None:
    with pytest.raises(exc.CommandError, match=r"cannot read .*index.html: No such file"):
        UiFiles(tmp_path / "nothing", "")
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    with pytest.raises(exc.CommandError, match=r"bad.json is not JSON"):
        UiFiles(ui, "", bad)
