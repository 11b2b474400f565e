# SPDX-License-Identifier: Apache-2.0
"""Our own pages: the list of traces, the report of one trace, the critical path of a set.

They are all below ``/osprofiler/``. A link has the same path with Jaeger's UI and without it; without it, the paths of
Jaeger's UI lead to them.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

from osprofiler.drivers import lookup, search
from osprofiler.drivers.search import Wanted
from osprofiler.records.record import microseconds
from osprofiler.reports.analysis import path_set, skew, trace_profile
from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.analysis.trace_profile import TraceProfile
from osprofiler.reports.model import Trace
from osprofiler.reports.views import html, set_html
from osprofiler.serve import list_page, trace_search
from osprofiler.serve.parameters import Parameters, malformed
from osprofiler.serve.responses import Refused, Response, Route, page, redirect
from osprofiler.serve.store import Store

_LISTED = 50
_IN_A_SET = 200


def routes(store: Store) -> list[Route]:
    """The routes of our pages on *store*."""
    ways: dict[str, Callable[..., Response]] = {
        r"/osprofiler/": partial(_with_form, _list),
        r"/osprofiler/set": partial(_with_form, _set),
        r"/osprofiler/trace/([^/]+)": _trace,
    }
    return [Route(re.compile(path), partial(respond, store)) for path, respond in ways.items()]


def redirects(base_path: str) -> list[Route]:
    """The routes that lead from the paths of Jaeger's UI to our pages."""

    def to_list(parameters: Parameters) -> Response:
        return redirect(f"{base_path}/osprofiler/")

    def to_trace(trace_id: str, parameters: Parameters) -> Response:
        return redirect(f"{base_path}/osprofiler/trace/{quote(trace_id, safe='')}")

    return [
        Route(re.compile(r"/|/search|/osprofiler"), to_list),
        Route(re.compile(r"/trace/([^/]+)"), to_trace),
    ]


def _with_form(respond: Callable[..., Response], store: Store, parameters: Parameters) -> Response:
    """The response of *respond*; if it refuses what is in the form, the form with the reason."""
    try:
        return respond(store, parameters)
    except Refused as why:
        listed = list_page.Listed(store.shown, store.services(), None, str(why), None)
        return page(list_page.text(listed, parameters))._replace(status=why.status)


def _list(store: Store, parameters: Parameters) -> Response:
    summaries: list[search.Summary] = []
    wanted = _wanted(parameters, _LISTED)

    def take(trace: Trace) -> bool:
        summaries.append(search.summary(trace))
        return True

    note = store.each(wanted, take)
    older_us = None
    if summaries and (note or len(summaries) == wanted.limit):
        # The last trace is shown again: another one may have begun in the same microsecond.
        older_us = microseconds(summaries[-1].timestamp) + (len(summaries) > 1)
    listed = list_page.Listed(store.shown, store.services(), summaries, note, older_us)
    return page(list_page.text(listed, parameters))


def _trace(store: Store, text: str, parameters: Parameters) -> Response:
    try:
        trace = store.find(text)
    except lookup.Ambiguous as why:
        raise Refused(HTTPStatus.NOT_FOUND, str(why)) from None
    if trace is None:
        raise Refused(HTTPStatus.NOT_FOUND, "no such trace in this store")
    return page(html.page(skew.correct(trace)))


def _set(store: Store, parameters: Parameters) -> Response:
    steps = Steps()
    profiles: list[TraceProfile] = []

    def take(trace: Trace) -> bool:
        profiles.append(trace_profile.of(skew.correct(trace), steps))
        return True

    wanted = _wanted(parameters, _IN_A_SET)
    note = store.each(wanted, take)
    if not profiles:
        raise Refused(HTTPStatus.NOT_FOUND, note or "no traces match")
    if len(profiles) == wanted.limit:
        note = "the newest; there may be more"
    return page("".join(set_html.of_paths(path_set.groups(profiles), "trace/{id}", note)))


def _wanted(parameters: Parameters, most: int) -> Wanted:
    """The search of the form of the list."""
    period = parameters.text("lookback")
    if period not in list_page.PERIODS:
        raise malformed("lookback", period, f"one of {', '.join(filter(None, list_page.PERIODS))}")
    length_us = list_page.PERIODS[period]
    return Wanted(
        service=parameters.text("service") or None,
        operation=parameters.text("operation") or None,
        min_duration_us=max(parameters.duration_ns("minDuration") // 1000, 0) or None,
        error=parameters.boolean("error"),
        since_us=None if length_us is None else time.time_ns() // 1000 - length_us,
        until_us=parameters.integer("until", 0) or None,
        limit=trace_search.limit(parameters, most),
        tags=_tags(parameters.text("tag")),
    )


def _tags(text: str) -> tuple[tuple[str, str], ...]:
    """The tags of the form: ``name=value`` with blanks between; a value with blanks stands in quotes."""
    try:
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError:  # a quote is not closed
        raise malformed("tag", text, 'name=value or name="some words"') from None
    if not all(name and equals for name, equals, _ in pairs):
        raise malformed("tag", text, "name=value")
    return tuple((name, value) for name, _, value in pairs)
