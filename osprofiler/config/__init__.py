# SPDX-License-Identifier: Apache-2.0
"""What configuration and policy say: the settings in force, and where they come from.

``config.current()`` is the settings object in force; ``config.fresh()`` is the same for a unit of work that begins now.
"""

from osprofiler.config.settings import current, fresh, publish, reset, watch
from osprofiler.config.table import Settings

__all__ = ["Settings", "current", "fresh", "publish", "reset", "watch"]
