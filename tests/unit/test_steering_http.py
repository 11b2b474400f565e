# SPDX-License-Identifier: Apache-2.0
"""A policy at a URL: whatever the server does, the last good policy stays, there is one line, and nothing piles up."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from osprofiler.config import settings as in_force
from osprofiler.steering import follower as followers
from osprofiler.steering import watch
from osprofiler.steering.last_good import LastGood
from osprofiler.steering.sources import Unreadable, source_of
from tests.servers import certificate
from tests.servers.base import free_port
from tests.servers.trickle import trickle
from tests.unit.core_kit import faults
from tests.unit.steering_kit import Follow, errors, following, rate, sampler, threads
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("osprofiler_process")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is."""
    monkeypatch.setattr(followers, "START_S", 30.0)
    monkeypatch.setattr(followers, "READ_S", 30.0)


class Served:
    """A server of one policy: ``text`` with ``headers`` and ``status``; ``asked`` has the headers of the requests."""

    def __init__(self, port: int = 0) -> None:
        self.text = sampler("const:1").encode()
        self.headers: dict[str, str] = {}
        self.status = 200
        self.location = ""
        self.asked: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append({**self.headers, "path": self.path})
                status, body = outer.status, outer.text
                if "ETag" in outer.headers and self.headers.get("If-None-Match") == outer.headers["ETag"]:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # who got too much has closed the connection
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/policy.yaml"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@pytest.fixture
def follow(caplog: pytest.LogCaptureFixture) -> Iterator[Follow]:
    with following(caplog) as follow:
        yield follow


def test_only_a_changed_policy_is_sent(served: Served, follow: Follow) -> None:
    served.headers = {"ETag": '"1"', "Last-Modified": "Sun, 29 Nov 2026 12:00:00 GMT"}
    follower = follow(served.url)
    assert rate(follower) == "const:1"
    wait_until(lambda: len(served.asked) > 3)
    assert "If-None-Match" not in served.asked[0]
    later = served.asked[2]
    assert (later["If-None-Match"], later["If-Modified-Since"]) == ('"1"', served.headers["Last-Modified"])
    served.text, served.headers = sampler("const:0").encode(), {"ETag": '"2"'}
    wait_until(lambda: rate(follower) == "const:0")


def test_a_server_without_etags_is_asked_for_all_and_that_is_no_change(
    served: Served, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    follow(served.url)
    wait_until(lambda: len(served.asked) > 3)
    assert caplog.text.count("using the policy") == 1


def test_user_password_and_token_are_sent_and_not_logged(
    served: Served, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    host = served.url.removeprefix("http://")
    follow(f"http://op:hunter2hunter2@{host}?team=one")
    follow(f"{served.url}?token=verysecrettoken")
    basic, bearer = served.asked[0], next(asked for asked in served.asked if "Bearer" in asked["Authorization"])
    assert (basic["Authorization"], basic["path"]) == ("Basic b3A6aHVudGVyMmh1bnRlcjI=", "/policy.yaml?team=one")
    assert (bearer["Authorization"], bearer["path"]) == ("Bearer verysecrettoken", "/policy.yaml")
    served.status = 403
    wait_until(lambda: len(errors(caplog)) == 2)
    assert "hunter2" not in caplog.text
    assert "verysecret" not in caplog.text
    assert "the server answers 403" in caplog.text


def _is_down(served: Served) -> None:
    served.close()


def _is_garbage(served: Served) -> None:
    served.text = b"\x00\x01 garbage"


def _is_a_page(served: Served) -> None:
    served.text = b"<html><body>It works!</body></html>"


def _is_huge(served: Served) -> None:
    served.text = b"#" * (10 << 20)


def _loops(served: Served) -> None:
    served.location = served.url
    served.status = 302


def _leads_elsewhere(served: Served) -> None:
    served.location = "file:///etc/passwd"
    served.status = 302


def _fails(served: Served) -> None:
    served.status = 503


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_is_down, "cannot read the policy"),
        (_is_garbage, "line 1"),
        (_is_a_page, "line 1"),
        (_is_huge, "longer than"),
        (_loops, "redirects"),
        (_leads_elsewhere, "it redirects from http to file"),
        (_fails, "the server answers 503"),
    ],
)
def test_a_server_at_fault_changes_nothing_and_is_one_line(
    breaks: Callable[[Served], None], words: str, follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    served = Served(port)
    kept = LastGood(served.url, str(tmp_path))
    follower = follow(served.url, last_good=kept)
    breaks(served)
    wait_until(lambda: errors(caplog))
    asked = len(served.asked)
    wait_until(lambda: breaks is _is_down or len(served.asked) > asked + 3)
    (line,) = errors(caplog)
    assert served.url in line
    assert words in line
    assert "the former policy stays in force" in line
    assert (rate(follower), len(threads())) == ("const:1", 1)

    other = follow(served.url, last_good=kept)  # a process that starts now
    assert rate(other) == "const:1"
    assert "the last good policy, which is on disk, is in force" in caplog.text
    other.end()

    if breaks is not _is_down:
        served.close()
    again = Served(port)
    again.text = sampler("const:0").encode()
    wait_until(lambda: rate(follower) == "const:0")
    again.close()
    assert not faults()


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_trickles_is_given_up_and_no_thread_piles_up(
    part: str, follow: Follow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(followers, "START_S", 0.2)
    monkeypatch.setattr(followers, "READ_S", 0.2)
    with trickle() as server:
        server.part = part
        follower = follow(server.url)
        while server.trickled < 4:
            in_force.fresh()
            assert len(threads()) == 1
            time.sleep(0.001)
        assert server.waited_for == 0
        wait_until(lambda: server.trickling <= 1, what="the ends of the earlier reads")
        follower.end()
    (line,) = errors(caplog)
    assert "no whole response in 0.2 s" in line


def test_no_request_waits_for_a_server_that_trickles(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the worst case: each of them finds the work late."""
    monkeypatch.setattr(followers, "START_S", 0.01)
    monkeypatch.setattr(watch, "PATIENCE_S", 0.001)
    with trickle() as server:
        server.part = "headers"
        follower = follow(server.url)
        wait_until(lambda: server.trickled == 2 and server.trickling == 1, what="the read after the start")
        for _ in range(20):
            follower._watch._late_at = 0.0
            in_force.fresh()
        assert (server.trickled, server.trickling) == (2, 1), "the read goes on"
        assert len(threads()) == 1


def test_a_fault_of_tls_is_one_line_and_a_certificate_can_be_named(
    follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(certificate.command(*pair), check=True, capture_output=True)
    with trickle(pair) as server:
        follow(f"{server.url}/policy.yaml")
        (line,) = errors(caplog)
        assert "certificate" in line.lower()
        # It answers 202 with "{}": the certificate is right, the status is not.
        with pytest.raises(Unreadable, match="the server answers 202"):
            source_of(f"{server.url}/policy.yaml?ca_certs={pair[0]}").read(5.0)


def test_a_redirect_within_the_scheme_is_followed(served: Served, follow: Follow) -> None:
    other = Served()
    other.status, other.location = 302, served.url
    assert rate(follow(other.url)) == "const:1"
    other.close()
