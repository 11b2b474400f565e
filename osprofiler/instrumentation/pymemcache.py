# SPDX-License-Identifier: Apache-2.0
"""Tracing of pymemcache: a span for each command that is sent to a server, also by pools and clients of many servers.

These clients send by a plain ``Client`` for each server. So a ``get_many`` of keys on two servers is two spans.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import command
from osprofiler.handlers.call import Closing
from osprofiler.handlers.command import Command

_ONE_KEY = ("add", "append", "cas", "decr", "delete", "get", "gets", "incr", "prepend", "replace", "set", "touch")
_MANY_KEYS = ("delete_many", "get_many", "gets_many", "set_many")
_NO_KEY = ("cache_memlimit", "flush_all", "raw_command", "stats", "version")

#: Methods that have a second name, by this.
_ALIASES = {"delete_multi": "delete_many", "get_multi": "get_many", "set_multi": "set_many"}


def _calls(verb: str) -> Callable[[Method], Method]:
    """Make a span for each call of the method *verb*."""

    def wrap(original: Method) -> Method:
        def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            here = current.sampled()
            if here is None:
                return original(self, *args, **kwargs)
            with Closing(_opened(here, verb, self, args, kwargs)):
                return original(self, *args, **kwargs)

        return method

    return wrap


def _opened(here: Point, verb: str, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
    with guard.Harmless("pymemcache.start"):
        statement = " ".join((verb, *_shown(client, list(_keys(verb, args, kwargs)))))
        server = client.server  # a host and a port, or the path of a socket
        host, port, path = (None, None, server) if isinstance(server, str) else (*server, None)
        tags = {"peer.address": path}
        return command.open_point(
            here, Command("memcached", verb, "pymemcache", statement, host=host, port=port, tags=tags)
        )
    return None


def _keys(verb: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterable[Any]:
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
