# SPDX-License-Identifier: Apache-2.0
"""The folder in which osprofiler keeps files of this user."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/osprofiler``; it is created, and only its owner can read it.

    Raises OSError if that is not possible, and RuntimeError if this user has no home.
    """
    state_home = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification: ignore a relative path.
    home = Path(state_home) if os.path.isabs(state_home) else Path.home() / ".local" / "state"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / "osprofiler"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
