# SPDX-License-Identifier: Apache-2.0
"""Tracing of pymemcache: a span for each command that is sent to a server, also by pools and clients of many servers.

These clients send by a plain ``Client`` for each server. So a ``get_many`` of keys on two servers is two spans.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context.points import Point
from osprofiler.handlers import command
from osprofiler.handlers.command import Command
from osprofiler.instrumentation.calls import Calls, blocking

_ONE_KEY = ("add", "append", "cas", "decr", "delete", "get", "gets", "incr", "prepend", "replace", "set", "touch")
_MANY_KEYS = ("delete_many", "get_many", "gets_many", "set_many")
_NO_KEY = ("cache_memlimit", "flush_all", "raw_command", "stats", "version")

#: Methods that have a second name, by this.
_ALIASES = {"delete_multi": "delete_many", "get_multi": "get_many", "set_multi": "set_many"}


def _calls(verb: str) -> Callable[[Method], Method]:
    """Make a span for each call of the method *verb*."""
    return blocking(Calls("pymemcache", partial(_open, verb)))


def _open(verb: str, here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point:
    client, *rest = args
    statement = " ".join((verb, *_shown(client, list(_keys(verb, rest, kwargs)))))
    server = client.server  # a host and a port, or the path of a socket
    host, port, path = (None, None, server) if isinstance(server, str) else (*server, None)
    tags = {"peer.address": path}
    return command.open_point(
        here, Command("memcached", verb, "pymemcache", statement, host=host, port=port, tags=tags)
    )


def _keys(verb: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterable[Any]:
    """The keys of a command. Empty if they cannot be read without taking them away from the command."""
    if verb in _ONE_KEY:
        return args[:1] or (kwargs["key"],)
    if verb in _MANY_KEYS:
        keys = args[0] if args else kwargs["values" if verb == "set_many" else "keys"]
        return keys if isinstance(keys, Collection) else ()
    return ()


def _shown(client: Any, keys: list[Any]) -> Iterable[str]:
    """The keys as the server sees them."""
    if not command.shows_keys():
        return [command.VALUE] if keys else []
    prefix = command.text(client.key_prefix)
    shown = [f"{prefix}{command.text(key)}" for key in keys[: command.MAX_ARGUMENTS]]
    return (*shown, *command.more(len(keys), command.MAX_ARGUMENTS))


_target = partial(Target, "pymemcache.client.base", "Client")
_wrapping = Wrapping(
    *(_target(name, _calls(name)) for name in (*_ONE_KEY, *_MANY_KEYS, *_NO_KEY)),
    *(_target(alias, _calls(name)) for alias, name in _ALIASES.items()),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
