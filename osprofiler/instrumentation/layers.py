# SPDX-License-Identifier: Apache-2.0
"""The layers: libraries whose calls become spans, each with a switch of its own.

A new layer is a module ``osprofiler.instrumentation.<library>`` with ``instrument`` and ``uninstrument``, an entry
here, and a row for its switch in ``config.table``. The registry imports the module when the switch is first on.
"""

from __future__ import annotations

from collections.abc import Iterator

from osprofiler.config import Settings

#: The switch of each layer, a setting, and the libraries that it turns on.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "trace_dogpile": ("dogpile",),
    "trace_keystoneauth": ("keystoneauth",),
    "trace_locks": ("lockutils",),
    "trace_memcached": ("pymemcache",),
    "trace_mongodb": ("pymongo",),
    "trace_redis": ("redis",),
    "trace_requests": ("aiohttp", "httpx", "requests", "urllib3"),
    "trace_sqlalchemy": ("sqlalchemy",),
    "trace_wsgi": ("aiohttp_server", "falcon", "flask"),
}

#: The switch of each library.
SWITCHES = {library: switch for switch, libraries in LIBRARIES.items() for library in libraries}


def changed(before: Settings, after: Settings) -> Iterator[tuple[str, bool]]:
    """The libraries whose layers are turned on (True) or off (False) where the settings change."""
    for library, switch in SWITCHES.items():
        on = _is_on(switch, after)
        if on != _is_on(switch, before):
            yield library, on


def _is_on(switch: str, settings: Settings) -> bool:
    return settings.enabled and bool(getattr(settings, switch))
