# SPDX-License-Identifier: Apache-2.0
"""Whether every span that a contender made arrived, once and with its content. A fast tracer that loses is not fast."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

from benchmarks.child.contenders import OPERATIONS, TEXT
from tests.servers import Jaeger
from tests.waiting import wait_until

_NUMBER = re.compile(r"\d+")
#: Where the contenders' spans have the number of the call that made them.
_NUMBER_TAGS = ("n", "start.n", "start.request.query", "args", "start.function.args", "http.url")
_TEXT_TAGS = ("text", "start.text")


def from_jaeger(jaeger: Jaeger, service: str, made: dict[str, int], timeout_s: float = 60) -> list[str]:
    """What is wrong with the spans of *service*; nothing if all that were *made*, by operation, are there as made."""

    def all_there() -> dict[str, list[dict[str, Any]]]:
        found = _by_operation(jaeger, service)
        for operation, number in made.items():
            assert len(found[operation]) >= number
        return found

    try:
        found = wait_until(all_there, timeout_s, "the spans")
    except TimeoutError:
        found = _by_operation(jaeger, service)
    wrong = []
    for operation, number in made.items():
        spans = found[operation]
        if len(spans) != number:
            wrong.append(f"{operation}: {len(spans)} of {number} arrived")
        elif operation != "rpc":
            wrong += _content(operation, spans)
    return wrong


def _by_operation(jaeger: Jaeger, service: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trace in jaeger.traces(service):
        for span in trace["spans"]:
            tags = {tag["key"]: tag["value"] for tag in span["tags"]}
            name = str(tags.get("osprofiler.name", span["operationName"]))
            if "rpc" in name or name.startswith("bench"):
                name = "rpc"
            elif name.startswith("HTTP GET"):
                name = "wsgi"
            found[name].append({**span, "tags": tags})
    return found


def _content(operation: str, spans: list[dict[str, Any]]) -> list[str]:
    wrong = []
    numbers = Counter(_number(span["tags"]) for span in spans)
    if set(numbers) != set(range(len(spans))):
        if operation == "wsgi" and not any("n=" in str(span["tags"]) for span in spans):
            return []  # who does not keep the query cannot tell them apart
        wrong.append(f"{operation}: numbers are missing or double")
    if operation not in ("wsgi", "traced"):
        texts = {next((span["tags"][key] for key in _TEXT_TAGS if key in span["tags"]), None) for span in spans}
        if texts != {TEXT}:
            wrong.append(f"{operation}: texts are {texts}")
    if operation == "with_log" and not all(len(span["logs"]) == 1 for span in spans):
        wrong.append("with_log: logs are missing")
    if operation == "nested":
        by_id = {span["spanID"]: _number(span["tags"]) for span in spans}
        for span in spans:
            above = [by_id.get(reference["spanID"]) for reference in span["references"]]
            number = _number(span["tags"])
            if number % OPERATIONS["nested"] and above != [number - 1]:
                wrong.append(f"nested: {number} is under {above}")
                break
    return wrong


def _number(tags: dict[str, Any]) -> int:
    for key in _NUMBER_TAGS:
        if key in tags and (digits := _NUMBER.findall(str(tags[key]))):
            return int(digits[-1])
    return -1


def from_datadog(spans: list[dict[str, Any]], made: dict[str, int]) -> list[str]:
    """The same, of what the sink got in the place of Datadog's agent."""
    seen = Counter(span["name"] for span in spans)
    return [
        f"{operation}: {seen[operation]} of {number} arrived"
        for operation, number in made.items()
        if seen[operation] != number
    ]
