# SPDX-License-Identifier: Apache-2.0
"""gevent: greenlets, callbacks and calls in a pool of threads become branches.

A Greenlet (of ``spawn``, ``spawn_later``, a subclass or a pool) and a call in a pool of threads are ChildOf branches:
the caller waits for them. Work of ``spawn_raw`` and callbacks linked to a Greenlet of the trace are FollowsFrom
branches: nobody waits for them.

The methods of Greenlet are compiled and cannot be replaced, so gevent's spawn callback is used. The instrumentation of
threading follows threads that gevent has patched.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import wrapt

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping, own_class
from osprofiler.concurrency.branch_callable import argument_as_branch, wrap_as_branch, wrap_call_as_branch
from osprofiler.context import current

MODEL = "gevent"

_GREENLETS = "gevent.greenlet"


def _started(greenlet: Any) -> None:
    """Make *greenlet* a branch; gevent calls this in the flow that starts it."""
    if current.point.get() is None:
        return
    with guard.Harmless(MODEL):
        run = greenlet._run
        if isinstance(getattr(run, "__self__", None), own_class(threading, "Thread") or ()):
            return
        greenlet.link = _link(weakref.ref(greenlet))
        work, args = wrap_call_as_branch(MODEL, run, greenlet.args)
        if work is not run:
            greenlet._run = work
        elif args is not greenlet.args:  # a greenlet's args cannot be replaced
            greenlet._run = lambda *_, **kwargs: run(*args, **kwargs)


def _link(linked: weakref.ref[Any]) -> Callable[..., None]:
    def link(callback: Any, /, *args: Any, **kwargs: Any) -> None:
        greenlet: Any = linked()
        if _wrapping.on:
            callback = wrap_as_branch(MODEL, callback, detached=True)
        type(greenlet).link(greenlet, callback, *args, **kwargs)

    return link


def _apply_async(apply_async: Method) -> Method:
    def run(self: Any, /, func: Any, args: Any = None, kwds: Any = None, callback: Any = None) -> Any:
        if current.point.get() is not None:
            func, args = wrap_call_as_branch(MODEL, func, tuple(args or ()))
            callback = callback and wrap_as_branch(MODEL, callback, detached=True)
        return apply_async(self, func, args, kwds, callback)

    return run


def _map_async(map_async: Method) -> Method:
    def run(self: Any, /, func: Any, iterable: Any, callback: Any = None) -> Any:
        callback = callback and wrap_as_branch(MODEL, callback, detached=True)
        return map_async(self, wrap_as_branch(MODEL, func, many=True), iterable, callback)

    return run


_spawn_raw = argument_as_branch(MODEL, 0, "function", detached=True)
_map = argument_as_branch(MODEL, 1, "func", many=True)

_POOLS = "gevent.pool", "GroupMappingMixin"

_wrapping = Wrapping(
    # The two classes of spawn_raw's greenlets; an option of gevent chooses whether they record their creator.
    Target("gevent.hub", "", "TrackedRawGreenlet", _spawn_raw),
    Target("gevent.hub", "", "RawGreenlet", _spawn_raw),
    Target(*_POOLS, "apply_async", _apply_async),
    Target(*_POOLS, "map", _map),
    Target(*_POOLS, "map_async", _map_async),
    Target(*_POOLS, "imap", _map),
    Target(*_POOLS, "imap_unordered", _map),
    Target("gevent.pool", "Group", "_apply_async_cb_spawn", argument_as_branch(MODEL, 1, "callback", detached=True)),
    Target("gevent.threadpool", "ThreadPool", "spawn", argument_as_branch(MODEL, 1, "func", applied=True)),
    Target("gevent.threadpool", "_FutureProxy", "add_done_callback", argument_as_branch(MODEL, 1, "fn", detached=True)),
)

_hooked = False


def instrument() -> None:
    """Follow gevent, now or once it is imported; a second call does nothing."""
    global _hooked
    _wrapping.install()
    if not _hooked:
        _hooked = True  # an import hook cannot be removed, so it is set once and checks ``on``
        wrapt.register_post_import_hook(_listen, _GREENLETS)
    elif (module := sys.modules.get(_GREENLETS)) is not None:
        _listen(module)


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _wrapping.uninstall()
    if (module := sys.modules.get(_GREENLETS)) is not None:
        module.Greenlet.remove_spawn_callback(_started)


def _listen(module: Any) -> None:
    if _wrapping.on:
        module.Greenlet.add_spawn_callback(_started)
