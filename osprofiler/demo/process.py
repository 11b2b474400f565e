# SPDX-License-Identifier: Apache-2.0
"""One process of the demo: it runs the configured roles, reports when it is ready, and ends when its input ends.

The parent process holds the other end of the input. So this process also ends when the parent is killed.
"""

from __future__ import annotations

import json
import select
import sys
from typing import Any

from osprofiler.demo import settings


def _role(name: str) -> Any:
    kind = name.partition("-")[0]
    if kind == "api":
        from osprofiler.demo.api import Api

        return Api(name)
    if kind == "image":
        from osprofiler.demo.image import ImageService

        return ImageService(name)
    if kind == "conductor":
        from osprofiler.demo.conductor import Conductor

        return Conductor(name)
    from osprofiler.demo.compute import Compute

    return Compute(name)


def main(arguments: list[str]) -> int:
    """Print one line of JSON when ready: the ``url`` of the first role that has one. Returns the exit status."""
    conf = settings.load(arguments)
    roles = [_role(name) for name in conf.demo.roles]
    for role in roles:
        role.start()
    print(json.dumps({"url": next((role.url for role in roles if role.url), None)}), flush=True)
    # Nothing is ever written to the input: it becomes readable at its end. A read would block all greenthreads.
    select.select([sys.stdin], [], [])
    for role in roles:
        role.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
