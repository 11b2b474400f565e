# SPDX-License-Identifier: Apache-2.0
"""Find traces in a collection of MongoDB by the time and the content of their records."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler.drivers import places
from osprofiler.drivers.mongodb_documents import ERROR
from osprofiler.drivers.newest_first import Page
from osprofiler.drivers.wanted import Wanted
from osprofiler.records.record import microseconds, timestamp

#: A record of an error: the first is a field of this driver, the second one of osprofiler 4.4.0.
IS_ERROR: Mapping[str, Any] = {"$or": [{ERROR: True}, {"info.etype": {"$exists": True}}]}

#: The number of records in the first page. Each later page is twice as long, up to the most.
_FIRST_PAGE, _MOST = 10_000, 80_000

#: All time stamps are less: they begin with a digit.
_AFTER_TIMES = ":"


def pages(collection: Any, wanted: Wanted) -> Iterator[Page]:
    """The traces of the records that may be of a trace that matches *wanted*, the newest records first.

    The texts of time stamps have the order of the times.
    """
    condition = _condition(wanted)
    # Without decimals: it is less than the same second with decimals.
    since = "" if wanted.since_us is None else timestamp(wanted.since_us).partition(".")[0]
    # With a condition, the record may be later than the first one of its trace.
    edge = {"$lt": _AFTER_TIMES if wanted.until_us is None or condition else timestamp(wanted.until_us)}
    edge_us = math.inf
    size = _FIRST_PAGE
    while True:
        query = {**condition, "timestamp": {"$gte": since, **edge}}
        # With a limit, a server without an index keeps only so many documents in memory.
        found = collection.find(query, {"base_id": 1, "timestamp": 1}).sort([("timestamp", -1)]).limit(size)
        documents = list(found)
        if not documents:
            return
        last = documents[-1]["timestamp"]
        edge_us = _time_us(last, edge_us)
        yield Page({each["base_id"] for each in documents if isinstance(each.get("base_id"), str)}, edge_us)
        if len(documents) < size:
            return
        # Others may have this time, too. If these fill a page, only a longer one has more.
        size = 2 * size if edge == {"$lte": last} else min(2 * size, _MOST)
        edge = {"$lte": last}


def first_times(base_ids: list[str]) -> list[dict[str, Any]]:
    """A pipeline: the ids of these traces, and the time stamps of their first records. The first index is enough."""
    return [
        {"$match": {"base_id": {"$in": base_ids}}},
        {"$group": {"_id": "$base_id", "timestamp": {"$min": "$timestamp"}}},
        {"$project": {"_id": 0, "base_id": "$_id", "timestamp": 1}},
    ]


def services(collection: Any) -> Iterator[tuple[Any, Any]]:
    """Project and service of each service. The index of services is enough."""
    for service in collection.distinct("service"):
        for project in collection.distinct("project", {"service": service}):
            yield project, service


def _condition(wanted: Wanted) -> Mapping[str, Any]:
    """The condition for one record of a trace, for which *wanted* may hold."""
    # The record of an error need not be one of the service.
    if wanted.error:
        return IS_ERROR
    return {} if wanted.service is None else _of_service(wanted.service)


def _of_service(pattern: str) -> dict[str, Any]:
    either = [{"service": _like(pattern)}, {"project": _like(pattern), "service": {"$in": [None, ""]}}]
    for project, service in places.pairs(pattern):
        either.append({"project": _like(project), "service": _like(service)})
    return {"$or": either}


def _like(pattern: str) -> Any:
    """A condition for a field that matches *pattern*."""
    if places.is_literal(pattern):
        return pattern
    wildcards = {"*": "(.|\n)*", "?": "(.|\n)"}
    return {"$regex": f"^{''.join(wildcards.get(char) or re.escape(char) for char in places.loose(pattern))}$"}


def _time_us(stamp: str, default: float) -> float:
    """The time of a time stamp, or *default* if it is none."""
    try:
        return microseconds(stamp)
    except (ValueError, OverflowError):
        return default
