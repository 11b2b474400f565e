# SPDX-License-Identifier: Apache-2.0
"""One large trace in a store of this project: ``fill.py '{"target": "sqlite:///...", "spans": 100000}'``.

Points are made no faster than the store takes them: a burst of twice the queue's length is no fault of a store's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import contenders

from osprofiler import profiler

_AT_ONCE = 5000


def main(order: dict[str, Any]) -> None:
    contender = contenders.load(order["module"], order["target"], order["service"])
    with contender.root():
        view = profiler.get()
        for n in range(order["spans"]):
            contender.two_tags(n)
            if n % _AT_ONCE == 0:
                contender.flush()
    contender.flush()
    print(json.dumps({"base_id": view.get_base_id(), "counts": contender.counts()}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
