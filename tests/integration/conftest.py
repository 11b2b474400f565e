# SPDX-License-Identifier: Apache-2.0
"""Pages in a real browser. Nothing may leave a page, and none may complain."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import missing

Page = Any
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("no Chromium: install Debian's chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[OpenPage]:
    """Opens an address. At the end no page may have asked another host for anything, and none may have complained."""
    urls: list[str] = []
    hosts: set[str] = set()
    complaints: list[str] = []
    contexts = []

    def visit_(address: str, width: int = 1600, scheme: str = "light") -> Page:
        hosts.add(_host(address))
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.on("request", lambda request: urls.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda fault: complaints.append(str(fault)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(address)
        return page

    yield visit_
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in urls if _host(url) not in hosts and not url.startswith("data:")] == []


def _host(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


@pytest.fixture
def open_page(visit: OpenPage, tmp_path: Path) -> OpenPage:
    """Opens a page of HTML. Nothing may leave it, as with ``visit``."""

    def open_(text: str, width: int = 1600, scheme: str = "light") -> Page:
        file = tmp_path / "page.html"
        file.write_text(text, "utf-8")
        return visit(file.as_uri(), width, scheme)

    return open_
