# SPDX-License-Identifier: Apache-2.0
"""What the stress program does, for the program and for the test that checks what came of it."""

import uuid
from collections.abc import Iterator

#: So many points of a thread are nested, then the next ones begin.
DEPTH = 10
#: So many nested points a forked child makes.
CHILD_POINTS = 10


def base_id(seed: str, thread: int) -> str:
    """The trace of a thread."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {thread}"))


def points(thread: int, number: int, forks: int) -> Iterator[str]:
    """What all points of a thread and of its forked children are called."""
    own = f"thread {thread}"
    yield own
    yield from (f"{own} {point}" for point in range(number))
    for fork in range(forks):
        yield from (f"{own} child {fork} {point}" for point in range(CHILD_POINTS))
