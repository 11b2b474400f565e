# SPDX-License-Identifier: Apache-2.0
"""One process of the demo: it plays the roles it is told, says when it is ready, and lives until its input ends.

Whoever started it holds the other end of that input, and however that one ends, this one follows.
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
    """Print one line of JSON when ready: ``url``, of the first role that has one."""
    conf = settings.load(arguments)
    roles = [_role(name) for name in conf.demo.roles]
    for role in roles:
        role.start()
    print(json.dumps({"url": next((role.url for role in roles if role.url), None)}), flush=True)
    # Nothing is ever said there: readable is at its end. A read would stop all greenthreads.
    select.select([sys.stdin], [], [])
    for role in roles:
        role.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
