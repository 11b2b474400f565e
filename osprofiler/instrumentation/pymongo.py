# SPDX-License-Identifier: Apache-2.0
"""Tracing of pymongo: a span for each command of ``MongoClient`` and ``AsyncMongoClient``.

pymongo calls the ``CommandListener`` objects of a client for each command. It takes them when the client is made. This
layer wraps the methods that call them. So it sees the commands of older clients too, and costs nothing while it is off.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import command
from osprofiler.handlers.command import Command
from osprofiler.instrumentation import pymongo_commands

#: The command for which this flow of control waits: the id of its request, and its point. A flow sends one at a time.
_waiting: ContextVar[tuple[int, Point] | None] = ContextVar("osprofiler_pymongo", default=None)


def _enabled(original: Method) -> Method:
    def enabled_for_commands(self: Any, /) -> bool:
        """Whether a listener, or this layer, wants to know of commands."""
        return current.sampled() is not None or bool(original(self))

    return enabled_for_commands


def _start(original: Method) -> Method:
    def publish_command_start(
        self: Any, /, command: Any, database_name: str, request_id: int, connection_id: Any, *args: Any, **kwargs: Any
    ) -> Any:
        with guard.Harmless("pymongo.start"):
            _started(command, database_name, request_id, connection_id)
        return original(self, command, database_name, request_id, connection_id, *args, **kwargs)

    return publish_command_start


def _end(original: Method) -> Method:
    def publish_command_end(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with guard.Harmless("pymongo.stop"):
            _, reply, _, request_id, *_ = args  # after a failure, the reply describes it
            _ended(request_id, reply)
        return original(self, *args, **kwargs)

    return publish_command_end


def _started(sent: Any, database: str, request_id: int, address: Any) -> None:
    here = current.sampled()
    _ended(None, {})
    if here is None:
        return
    host, port = address or (None, None)
    described = Command("mongodb", next(iter(sent)), "pymongo", pymongo_commands.statement(sent), database, host, port)
    point = command.open_point(here, described)
    # It is not the current point: nothing is sent inside it, and older releases do not report its end if its task was
    # cancelled.
    current.point.set(here)
    _waiting.set((request_id, point))


def _ended(request_id: int | None, reply: Any) -> None:
    """Close the point of the request; None: of an earlier request whose end pymongo did not report."""
    waiting = _waiting.get()
    if waiting is None or request_id not in (None, waiting[0]):
        return
    _waiting.set(None)
    failure = ("Interrupted", "") if request_id is None else pymongo_commands.failure(reply)
    if failure is None:
        waiting[1].end()
    else:
        command.fail(waiting[1], *failure)


_wrapping = Wrapping(
    Target("pymongo.monitoring", "_EventListeners", "enabled_for_commands", _enabled),
    Target("pymongo.monitoring", "_EventListeners", "publish_command_start", _start),
    Target("pymongo.monitoring", "_EventListeners", "publish_command_success", _end),
    Target("pymongo.monitoring", "_EventListeners", "publish_command_failure", _end),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
