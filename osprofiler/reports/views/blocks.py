# SPDX-License-Identifier: Apache-2.0
"""A histogram in one line of a terminal: a block for each bucket."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = ".:-=+*#@"  # for terminals without these characters


def line(counts: Sequence[int], unicode: bool = True) -> str:
    """*counts* as blocks; the largest is a full block, and a bucket without values a blank."""
    blocks = _BLOCKS if unicode else _PLAIN
    most = max(counts, default=0)
    return "".join(blocks[(count * (len(blocks) - 1) + most - 1) // most] if count else " " for count in counts)
