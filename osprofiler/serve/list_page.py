# SPDX-License-Identifier: Apache-2.0
"""The page that lists traces: a form for the search, and a table. It needs no script."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote

from osprofiler.drivers.search import Summary
from osprofiler.reports import wording
from osprofiler.reports.views import html_page
from osprofiler.serve.parameters import Parameters

#: The choices of the form: how long ago a trace may have begun, and its length in microseconds.
PERIODS = {"": None, "1h": 3_600_000_000, "6h": 21_600_000_000, "1d": 86_400_000_000, "7d": 604_800_000_000}
_PERIOD_NAMES = {"": "at any time", "1h": "last hour", "6h": "last 6 hours", "1d": "last day", "7d": "last 7 days"}

_HEADS = ("trace", "began (UTC)", "duration", "spans", "errors", "unfinished", "operation", "services")
_NUMBERS = frozenset(("duration", "spans", "errors", "unfinished"))


class Listed(NamedTuple):
    """What the page shows."""

    store: str  # its connection string, without secrets
    services: Sequence[str]  # choices for the form
    summaries: Sequence[Summary] | None  # the newest first; None: there is only the form
    note: str  # what the list lacks, or why there is none; "" if nothing
    older_us: int | None  # older traces began before this time; None if there are none


def text(listed: Listed, parameters: Parameters) -> str:
    """The page. The form has the values of *parameters*."""
    body = [
        f"<h1>Traces</h1><p>in {_escaped(listed.store)}</p>",
        *_form(listed.services, parameters),
        *([f'<p role="status">{_escaped(listed.note)}</p>'] if listed.note else []),
        *([] if listed.summaries is None else _table(listed.summaries)),
        *([_older(listed.older_us, parameters)] if listed.older_us is not None else []),
    ]
    return html_page.static("list.html", ("theme.css", "list.css"), "Traces", "".join(body), has_form=True)


def _form(services: Sequence[str], parameters: Parameters) -> Iterator[str]:
    yield '<form method="get" action="./">'
    yield _field("service", "Service", parameters, "any; wildcards: * ?", ' list="services"')
    names = "".join(f'<option value="{_escaped(name)}">' for name in services)
    yield f'<datalist id="services">{names}</datalist>'
    yield _field("operation", "Operation", parameters, "any; wildcards: * ?")
    yield _field("tag", "Tags", parameters, "name=value name=value")
    yield _field("minDuration", "Took at least", parameters, "250ms, 1.5s")
    chosen = parameters.text("lookback")
    periods = "".join(
        f'<option value="{value}"{" selected" if value == chosen else ""}>{name}</option>'
        for value, name in _PERIOD_NAMES.items()
    )
    yield f'<label>Began<select name="lookback">{periods}</select></label>'
    yield _field("limit", "At most", parameters, "50 traces", ' inputmode="numeric"')
    checked = " checked" if parameters.text("error") else ""
    yield f'<label class="check"><input type="checkbox" name="error" value="true"{checked}>with an error</label>'
    yield '<div class="buttons"><button>Search</button>'
    yield '<button formaction="set" title="The critical path of all these traces">Critical path</button></div></form>'


def _field(name: str, label: str, parameters: Parameters, hint: str, more: str = "") -> str:
    value = _escaped(parameters.text(name))
    return f'<label>{label}<input name="{name}" value="{value}" placeholder="{hint}"{more}></label>'


def _table(summaries: Sequence[Summary]) -> Iterator[str]:
    if not summaries:
        yield '<p role="status">No traces match.</p>'
        return
    heads = "".join(f"<th{_kind(head)}>{head}</th>" for head in _HEADS)
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    for summary in summaries:
        cells = (
            f'<a href="trace/{quote(summary.base_id, safe="")}"><code>{_escaped(summary.base_id)}</code></a>',
            summary.timestamp.replace("T", " "),
            wording.duration(summary.duration_us),
            str(summary.spans),
            f'<span class="bad">{summary.errors}</span>' if summary.errors else "",
            str(summary.unfinished or ""),
            _escaped(summary.operation),
            _escaped(", ".join(summary.services)),
        )
        row = "".join(
            f'<td{_kind(head)} data-head="{head}">{cell}</td>' for head, cell in zip(_HEADS, cells, strict=True)
        )
        yield f"<tr>{row}</tr>"
    yield "</tbody></table></div>"


def _older(older_us: int, parameters: Parameters) -> str:
    query = html.escape(parameters.query_with(until=older_us))
    return f'<p class="older"><a href="./?{query}">Older traces</a></p>'


def _kind(head: str) -> str:
    return ' class="number"' if head in _NUMBERS else ""


def _escaped(text: str) -> str:
    return html.escape(wording.one_line(text))
