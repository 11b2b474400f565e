# SPDX-License-Identifier: Apache-2.0
"""Tracing of redis-py: a span for each command, for each pipeline, and for each message that a subscriber receives.

This covers clients of one server, of Sentinels and of clusters; each for blocking code and for asyncio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import command
from osprofiler.handlers.command import Command
from osprofiler.instrumentation import redis_commands
from osprofiler.instrumentation.calls import Calls, awaited, blocking

#: Describes a call of a method, from its object and its arguments. None: the call sends nothing.
Describe = Callable[[Any, tuple[Any, ...]], Command | None]

#: An attribute that we add to pipelines of clusters: the commands in the queue of the pipeline.
_QUEUED = "_osprofiler_queued"

_CHANNEL = "message_bus.destination"


# Descriptions


def _one(client: Any, args: tuple[Any, ...]) -> Command:
    """One command; *args* are its words."""
    name, rest = redis_commands.split(args)
    channel = rest[0] if name in ("PUBLISH", "SPUBLISH") and rest else None
    return _command(client, name, redis_commands.statement(name, rest), _to(channel))


def _pipeline(pipeline: Any, args: tuple[Any, ...]) -> Command | None:
    # The attribute has another name in asyncio's client.
    in_transaction = getattr(pipeline, "is_transaction", pipeline.transaction) or pipeline.explicit_transaction
    queued = [words for words, _ in pipeline.command_stack]
    return _batch(pipeline, "MULTI" if in_transaction else "PIPELINE", queued)


def _cluster_pipeline(pipeline: Any, args: tuple[Any, ...]) -> Command | None:
    return _batch(pipeline, "PIPELINE", vars(pipeline).pop(_QUEUED, ()))


def _batch(pipeline: Any, verb: str, queued: Sequence[Sequence[Any]]) -> Command | None:
    """The commands of a pipeline; None if it is empty."""
    if not len(pipeline):
        return None
    size = {"db.operation.batch.size": len(pipeline)}  # the name is from OpenTelemetry's conventions
    return _command(pipeline, verb, redis_commands.statements(queued), size)


def _message(subscriber: Any, args: tuple[Any, ...]) -> Command | None:
    """A message; None for another response, such as the answer to a subscription."""
    kind, *rest = args[0] or (None,)
    kind = kind.decode() if isinstance(kind, bytes) else kind
    if kind not in ("message", "pmessage", "smessage"):
        return None
    return _command(subscriber, "RECEIVE", None, {"span.kind": "consumer", **_to(rest[-2])})


def _to(channel: Any) -> dict[str, Any]:
    """The tags of a message for *channel*."""
    return {_CHANNEL: command.text(channel)} if channel is not None and command.shows_keys() else {}


def _command(client: Any, verb: str, statement: str | None, tags: Mapping[str, Any]) -> Command:
    pool = getattr(client, "connection_pool", None)  # the client of a cluster has none
    settings = getattr(pool, "connection_kwargs", {})
    # A pool of Sentinels knows the last address of its master.
    host, port = getattr(pool, "master_address", None) or (settings.get("host"), settings.get("port"))
    peer = {"peer.service": getattr(pool, "service_name", None), "peer.address": settings.get("path")}
    return Command("redis", verb, "redis", statement, str(settings.get("db") or 0), host, port, {**peer, **tags})


# The methods


def _calls(describe: Describe, error_in: Callable[[Any], BaseException | None] | None = None) -> Calls:
    """The calls of a method."""

    def open_point(here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
        described = describe(args[0], args[1:])
        return None if described is None else command.open_point(here, described)

    return Calls("redis", open_point, error_in=error_in)


def _first_error(answers: Iterable[Any]) -> BaseException | None:
    """The first error in the answers to a pipeline, which contain errors with ``raise_on_error=False``."""
    return next((answer for answer in answers if isinstance(answer, Exception)), None)


_ONE, _MESSAGE = _calls(_one), _calls(_message)
_PIPELINE, _CLUSTER_PIPELINE = _calls(_pipeline, _first_error), _calls(_cluster_pipeline, _first_error)


def _queue(original: Method) -> Method:
    """Keep a list of the commands that a pipeline of a cluster queues. Its own list has a private name that changes."""

    def execute_command(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.sampled() is None:
            return original(self, *args, **kwargs)
        queued = [] if not len(self) else vars(self).get(_QUEUED, [])
        result = original(self, *args, **kwargs)
        if result is self:  # else the command was sent at once, because the pipeline watches keys
            vars(self)[_QUEUED] = [*queued, args]
        return result

    return execute_command


def _targets(package: str, of: Callable[[Calls], Callable[[Method], Method]]) -> Iterable[Target]:
    """The methods to wrap in *package*; *of* makes their wrappers. asyncio's clients have the same names."""
    client, cluster = f"{package}.client", f"{package}.cluster"
    yield Target(client, "Redis", "execute_command", of(_ONE))
    yield Target(client, "Pipeline", "immediate_execute_command", of(_ONE))
    yield Target(client, "Pipeline", "execute", of(_PIPELINE))
    yield Target(client, "PubSub", "execute_command", of(_ONE))
    yield Target(client, "PubSub", "handle_message", of(_MESSAGE))
    yield Target(cluster, "RedisCluster", "execute_command", of(_ONE))
    yield Target(cluster, "ClusterPubSub", "execute_command", of(_ONE))
    yield Target(cluster, "ClusterPipeline", "execute_command", _queue)
    yield Target(cluster, "ClusterPipeline", "execute", of(_CLUSTER_PIPELINE))


_wrapping = Wrapping(*_targets("redis", blocking), *_targets("redis.asyncio", awaited))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
