# SPDX-License-Identifier: Apache-2.0
"""Write many traces into a folder, a file of Jaeger's JSON each, and say how long the json package takes to read them:
``fill_folder.py '{"folder": "...", "traces": 2000, "spans": 100}'``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import traces

from osprofiler import reports


def main(order: dict[str, Any]) -> None:
    folder = Path(order["folder"])
    end_us = order.get("end_us") or time.time_ns() // 1000
    size, seconds = 0, 0.0
    for i, records in enumerate(traces.traces(order["traces"], order["spans"], end_us)):
        text = "".join(reports.jaeger_text(reports.from_records(records)))
        size += (folder / f"{i:06}.json").write_text(text)
        begin = time.process_time()
        json.loads(text)
        seconds += time.process_time() - begin
    print(json.dumps({"bytes": size, "json_s": seconds}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
