# SPDX-License-Identifier: Apache-2.0
"""Write many traces into a store through its driver:
``fill_store.py '{"target": "redis://...", "traces": 10000, "spans": 100}'``.

The records go in batches of a reporter's size. The time that it takes to make them does not count.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

import traces

from osprofiler.drivers import base

_RECORDS = 2_000  # in a batch


def main(order: dict[str, Any]) -> None:
    driver = base.get_driver(order["target"])
    end_us = order.get("end_us") or time.time_ns() // 1000
    made = traces.traces(order["traces"], order["spans"], end_us)
    at_once = max(_RECORDS // (2 * order["spans"]), 1)
    seconds, count = 0.0, 0
    while several := list(itertools.islice(made, at_once)):
        batch = [record for records in several for record in records]
        begin = time.perf_counter()
        driver.write(batch)
        seconds += time.perf_counter() - begin
        count += len(batch)
    begin = time.perf_counter()
    driver.close()
    seconds += time.perf_counter() - begin
    print(json.dumps({"records": count, "seconds": seconds}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
