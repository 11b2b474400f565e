# SPDX-License-Identifier: Apache-2.0
"""The settings in force, and what they are made of: the configuration and the policy.

``config.current()`` returns the settings in force. ``config.fresh()`` does so for a unit of work that begins now: it
first reads the policy if that is late.
"""

from osprofiler.config.settings import current, fresh, publish, reset, unwatch, watch
from osprofiler.config.table import Settings

__all__ = ["Settings", "current", "fresh", "publish", "reset", "unwatch", "watch"]
