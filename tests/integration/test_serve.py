# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve`` as a process: how it begins and ends, a store that goes away, and its pages in Chromium."""

from __future__ import annotations

import base64
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from osprofiler.drivers import base
from osprofiler.records import ids
from tests import servers
from tests.conftest import own
from tests.integration.conftest import OpenPage
from tests.integration.serving import Serving, get, serving
from tests.unit.serve_kit import trace
from tests.waiting import wait_until

_KEY = "a key of many characters"


def store(folder: Path, traces: int = 3) -> str:
    """The connection string of a store with some traces."""
    url = f"sqlite:///{folder}/traces.db"
    driver = base.get_driver(url)
    for number in range(1, traces + 1):
        driver.write(trace(ids.uuid_text(number << 64 | number), service=f"nova-{number}"))
    return url


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_begins_and_ends_clean(how: signal.Signals, tmp_path: Path) -> None:
    """``serving`` checks the end. Many requests come at the same time."""
    url = store(tmp_path)
    with serving("--connection-string", url, how=how) as served:
        assert served.first_line == f"osprofiler: serving {url} at {served.url}/\n"
        responses: list[str] = []
        threads = [
            threading.Thread(
                target=lambda: responses.append(get(f"{served.url}/api/traces?service=nova-1&start=0").text)
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(responses) == 20
        assert len(set(responses)) == 1


def test_another_address_with_credentials(tmp_path: Path) -> None:
    password, key = tmp_path / "password", tmp_path / "key"
    password.write_text("me:secret\n")
    key.write_text(f"{_KEY}\n")
    with serving(
        "--connection-string", store(tmp_path), "--host", "0.0.0.0", "--password-file", str(password),
        "--key-file", str(key), "--base-path", "/traces/",
    ) as served:  # fmt: skip
        address = served.url.replace("0.0.0.0", "127.0.0.1")
        assert get(f"{address}/api/services").status == 401
        account = base64.b64encode(b"me:secret").decode()
        for right in (f"Basic {account}", f"Bearer {_KEY}"):
            assert get(f"{address}/api/services", Authorization=right, Host="traces.example").status == 200
            assert get(f"{address}/", Authorization=right).text.count("<tr>") == 4


def test_a_store_goes_away_and_comes_back() -> None:
    with own(servers.Redis) as redis:
        url = redis.fresh_url()
        base.get_driver(url).write(trace())
        with serving("--connection-string", url) as served:
            search = f"{served.url}/api/traces?service=svc&start=0"
            assert len(get(search).json["data"]) == 1
            redis.stop()
            response = get(search)
            assert response.status == 503
            assert response.json["data"] is None
            assert response.json["errors"][0]["msg"].startswith("cannot read redis")
            redis.start()
            wait_until(lambda: get(search).status == 200)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving("--connection-string", store(tmp_path_factory.mktemp("store"))) as running:
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(1600, "light"), (390, "dark")])
def test_the_pages_lead_to_one_another(width: int, scheme: str, served: Serving, visit: OpenPage) -> None:
    page = visit(f"{served.url}/", width, scheme)
    assert page.locator("tbody tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill("[name=service]", "nova-2")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.input_value("[name=service]") == "nova-2"
    assert page.locator("tbody tr").count() == 1
    with page.expect_navigation():
        page.click("text=Critical path")
    assert page.inner_text("#title") == "Critical path of 1 trace"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    link = page.eval_on_selector("#examples a", "link => link.href")
    assert link.startswith(f"{served.url}/osprofiler/trace/")
    page.go_back()
    with page.expect_navigation():
        page.click("tbody a")
    assert page.inner_text("h1") == "boot"
    assert page.url == link
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif("JAEGER_UI" not in os.environ, reason="$JAEGER_UI does not name the folder of a built Jaeger UI")
def test_jaegers_ui_shows_the_traces(tmp_path: Path, visit: OpenPage) -> None:
    url = store(tmp_path)
    with serving("--connection-string", url, "--ui", os.environ["JAEGER_UI"]) as served:
        page = visit(f"{served.url}/search?service=nova-2&start=1&end=1899999999000000&lookback=custom&limit=20")
        page.wait_for_selector("text=nova-2: boot")
        trace_id = ids.uuid_text(2 << 64 | 2).replace("-", "")
        page = visit(f"{served.url}/trace/{trace_id}")
        page.wait_for_selector("text=check")
        assert page.locator(".span-name").count() == 3
        page = visit(f"{served.url}/dependencies")
        page.wait_for_selector("text=No service dependencies found")  # the traces are older than it looks back
        page.wait_for_load_state("networkidle")
