# SPDX-License-Identifier: Apache-2.0
"""The tags of a span with those that Jaeger would have of its ``info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.records.flattening import flatten
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode


def of_info(span: SpanNode) -> list[tuple[str, Any]]:
    """The tags that stand for the info of both records: conventions, unless the span has them itself, and each leaf."""
    tags = [item for item in wording.conventions(span).items() if item[0] not in span.tags]
    tags += flatten(_without_host(span.start_info, span), "start")
    tags += flatten(_without_host(span.stop_info, span), "stop")
    return tags


def _without_host(info: Mapping[str, Any], span: SpanNode) -> Mapping[str, Any]:
    """*info* without the host, if it is the host of the process."""
    if "host" in info and info["host"] == span.host:
        return {key: value for key, value in info.items() if key != "host"}
    return info
