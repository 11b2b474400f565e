# SPDX-License-Identifier: Apache-2.0
"""Who sends a request: what rules and keys ask about."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """Who sends a request, as the service has found out. Each is empty if it is not known."""

    project: tuple[str, ...] = ()  # its id and its name
    user: tuple[str, ...] = ()  # its id and its name
    role: tuple[str, ...] = ()  # the names


#: The identity in a request that has none.
NOBODY = Identity()
