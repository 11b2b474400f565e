# SPDX-License-Identifier: Apache-2.0
"""Boots of a server in the shape of the demo's, with noise: for tests of sets of traces."""

from __future__ import annotations

import random
import uuid
from typing import Any

from osprofiler.records import ids
from osprofiler.records.record import timestamp
from osprofiler.reports import model
from osprofiler.testing.records import T0_US

# Operation, service, work in microseconds (before each child and after the last), children; and how many of them, from
# the first on, run side by side.
Shape = tuple[str, str, int, tuple["Shape", ...], int]

BOOT: Shape = (
    "boot", "demo-client", 900, (
        ("http POST", "demo-client", 700, (
            ("wsgi POST", "demo-api", 1_200, (
                ("http HEAD", "demo-api", 500, (("wsgi HEAD", "demo-image", 900, (
                    ("verify_checksum", "demo-image", 5_000, (), 0),
                ), 0),), 0),
                ("db INSERT", "demo-api", 800, (), 0),
                ("rpc call build", "demo-api", 400, (("rpc build", "demo-conductor", 700, (
                    ("rpc call free_mb", "demo-conductor", 300, (("rpc free_mb", "demo-compute1", 1_500, (), 0),), 0),
                    ("rpc call free_mb", "demo-conductor", 300, (("rpc free_mb", "demo-compute2", 2_500, (), 0),), 0),
                    ("db INSERT", "demo-conductor", 600, (), 0),
                ), 2),), 0),
            ), 0),
        ), 0),
        ("http GET", "demo-client", 600, (
            ("wsgi GET", "demo-api", 700, (("db SELECT", "demo-api", 500, (), 0),), 0),
        ), 0),
    ), 0,
)  # fmt: skip


def records(seed: int, slower: dict[str, float] | None = None, error_in: str = "", **tags: Any) -> list[dict[str, Any]]:
    """The records of one boot.

    *slower*: factors for the work of operations. *error_in*: an operation that fails. *tags*: of all spans.
    All work of a boot varies with the load of its cloud, and each step by itself.
    """
    chance = random.Random(seed)
    base_id = str(uuid.UUID(int=chance.getrandbits(128)))
    prefix = ids.point_prefix(ids.trace_id_of(base_id))
    load = chance.lognormvariate(0, 0.05)
    made: list[dict[str, Any]] = []

    def run(shape: Shape, parent: str, start_us: int) -> int:
        operation, service, work_us, children, side_by_side = shape
        point = ids.point_uuid(prefix, chance.getrandbits(63) | 1)
        common = {"base_id": base_id, "trace_id": point, "parent_id": parent, "service": service}
        start = {"name": f"{operation}-start", "timestamp": timestamp(start_us)}
        made.append({**common, **start, "info": {"host": service, "osprofiler": {"operation": operation}}})

        def work() -> int:
            factor = (slower or {}).get(operation, 1.0)
            return round(work_us * factor * load * chance.lognormvariate(0, 0.12) / (len(children) + 1))

        at_us = start_us + work()
        ends = [at_us]
        for i, child in enumerate(children):
            begin_us = at_us if i < side_by_side else max(ends)
            ends.append(run(child, point, begin_us))
            at_us = (at_us if i < side_by_side - 1 else max(ends)) + work()
            ends.append(at_us)
        end_us = max(ends)
        failed = {"etype": "ValueError", "message": "no"} if operation == error_in else {}
        stop = {"name": f"{operation}-stop", "timestamp": timestamp(end_us)}
        made.append(
            {
                **common,
                **stop,
                "info": {"host": service, **failed, "osprofiler": {"tags": {"component": "demo", **tags}}},
            }
        )
        return end_us

    run(BOOT, base_id, T0_US + seed * 10_000_000)
    return made


def boot(seed: int, slower: dict[str, float] | None = None, error_in: str = "", **tags: Any) -> model.Trace:
    return model.from_records(records(seed, slower, error_in, **tags))
