# SPDX-License-Identifier: Apache-2.0
"""What one request may show beyond the settings in force, for itself alone: the names of ``[profiler] on_request``.

A request asks for it in its signed context. A name stands for a switch that is off, such as ``redis`` for
``trace_redis``; the row of the switch in the table of settings has it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from osprofiler.config.table import asked
from osprofiler.context.trace_context import NOTHING

LOG = logging.getLogger(__name__)

#: The environment variable with the names that a command asks for, with commas between.
VARIABLE = "OS_PROFILE_POINTS"


def names(points: str | Iterable[str] | None) -> frozenset[str]:
    """The names in *points*, a text with commas or several names. Unknown ones are left out, with one line in the log.

    None: those of the environment.
    """
    if points is None:
        points = os.environ.get(VARIABLE, "")
    if not points:
        return NOTHING
    texts = points.split(",") if isinstance(points, str) else points
    wanted = {text.strip() for text in texts} - {""}
    for name in sorted(wanted - asked().keys()):
        LOG.warning("a request cannot ask for %r; it can ask for %s", name, ", ".join(asked()))
    return frozenset(wanted & asked().keys())
