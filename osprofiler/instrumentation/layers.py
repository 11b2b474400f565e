# SPDX-License-Identifier: Apache-2.0
"""The layers: libraries whose calls become spans, each with a switch of its own.

A new layer is a module ``osprofiler.instrumentation.<library>`` with ``instrument`` and ``uninstrument``, an entry
here, and a row for its switch in ``config.table``. The registry imports the module when the switch is first on.
``instrument`` takes a function *when*, as ``Wrapping.install`` does, if a request can ask for the layer.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from osprofiler.config import Settings
from osprofiler.config.row import settings

#: The switch of each layer, a setting, and the libraries that it turns on.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "trace_dbapi": ("psycopg", "psycopg2", "pymysql", "sqlite3"),
    "trace_dogpile": ("dogpile",),
    "trace_drivers": ("oslo_privsep",),
    "trace_grpc": ("grpc", "grpc_server"),
    "trace_keystoneauth": ("keystoneauth",),
    "trace_locks": ("lockutils",),
    "trace_memcached": ("pymemcache",),
    "trace_mongodb": ("pymongo",),
    "trace_notifications": ("notifications",),
    "trace_redis": ("redis",),
    "trace_requests": ("aiohttp", "httpx", "requests", "urllib3"),
    "trace_sqlalchemy": ("sqlalchemy",),
    "trace_wsgi": ("aiohttp_server", "falcon", "flask", "pecan"),
}

#: The switch of each library.
SWITCHES = {library: switch for switch, libraries in LIBRARIES.items() for library in libraries}


class State(enum.Enum):
    """Which traces a layer shows itself in."""

    OFF = "none"
    ON_REQUEST = "those that ask for it"
    ON = "all"


def asked_as(library: str) -> str:
    """The name by which a request can ask for the layer of *library*; empty: it cannot."""
    return settings(Settings)[SWITCHES[library]].asked_as


def changed(before: Settings, after: Settings) -> Iterator[tuple[str, State, State]]:
    """The libraries whose layers have another state after a change of the settings; the state before, and after."""
    for library in SWITCHES:
        then, now = _state(library, before), _state(library, after)
        if then is not now:
            yield library, then, now


def _state(library: str, current: Settings) -> State:
    if not current.enabled:
        return State.OFF
    if getattr(current, SWITCHES[library]):
        return State.ON
    return State.ON_REQUEST if asked_as(library) in current.on_request else State.OFF
