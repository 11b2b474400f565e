# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on the instrumentation of python-requests, and on instrumentation that is wrong on purpose."""

import copy
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from osprofiler import profiler, web
from osprofiler import requests as traced
from osprofiler.testing.http_clients import HttpClient, HttpClientKit
from tests.conformance.kit_runs import failed

SEND = HTTPAdapter.send


class Requests:
    """python-requests."""

    def instrument(self) -> None:
        traced.enable()

    def uninstrument(self) -> None:
        traced.disable()

    def get(self, url: str, headers: dict[str, str]) -> int:
        return requests.get(url, headers=headers, timeout=30, allow_redirects=False).status_code

    def original(self) -> Any:
        return HTTPAdapter.send


class TestRequests(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return Requests()


class Untraced(Requests):
    def instrument(self) -> None:
        pass


class Careless(Requests):
    """It shows the whole URL, adds its headers to the caller's dictionary, reports no errors, and stays installed."""

    def instrument(self) -> None:
        HTTPAdapter.send = self.send  # type: ignore[method-assign,assignment]

    def uninstrument(self) -> None:
        HTTPAdapter.send = copy.copy(SEND)  # type: ignore[method-assign]

    @staticmethod
    def send(request: Any, **kwargs: Any) -> Any:
        profiler.init("key")
        profiler.start("http", info={})
        request.headers.update(web.get_trace_id_headers())
        response = SEND(HTTPAdapter(), request, **kwargs)
        profiler.stop()
        return response

    def get(self, url: str, headers: dict[str, str]) -> int:
        headers.update(web.get_trace_id_headers())
        return super().get(url, headers)


WRONG: list[tuple[type[Requests], str]] = [
    (Untraced, "test_a_request_is_one_client_span"),
    (Careless, "test_the_url_is_without_its_secrets"),
    (Untraced, "test_the_context_of_the_span_is_injected"),
    (Careless, "test_the_caller_s_headers_stay_the_caller_s"),
    (Untraced, "test_the_error_rule"),
    (Untraced, "test_a_request_that_is_not_answered_is_an_error"),
    (Careless, "test_the_current_point_is_as_before"),
    (Careless, "test_without_a_trace_it_only_sends"),
    (Untraced, "test_no_is_carried_on"),
    (Untraced, "test_uninstrumented_it_is_the_library_s_own"),
]


@pytest.mark.parametrize(("wrong", "caught_by"), WRONG)
def test_the_kit_finds_what_is_wrong(wrong: type[Requests], caught_by: str, pytester: pytest.Pytester) -> None:
    try:
        assert failed(pytester, HttpClientKit, "client", f"{__name__}:{wrong.__name__}()", caught_by)
    finally:
        HTTPAdapter.send = SEND  # type: ignore[method-assign]


def test_the_kit_passes_what_is_right(pytester: pytest.Pytester) -> None:
    assert failed(pytester, HttpClientKit, "client", f"{__name__}:Requests()") == 0


def test_every_test_of_the_kit_has_wrong_instrumentation() -> None:
    assert {name for name in vars(HttpClientKit) if name.startswith("test_")} == {name for _, name in WRONG}
