# SPDX-License-Identifier: Apache-2.0
"""The text of a command for Redis in its span: the name and the keys, and no values.

A value has no name, so nobody can tell whether it is a secret. A command that is not in the tables here shows no
arguments: ``AUTH ?``, ``CONFIG SET ? ?``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from osprofiler.handlers.command import MAX_ARGUMENTS, VALUE, more, shows_keys, text

#: The text shows at most this number of commands of a pipeline.
MAX_COMMANDS = 32

#: Commands by the positions of their keys: the first, the last (negative: from the end) and the step. These are the
#: numbers of ``COMMAND INFO`` in Redis 7.
KEYS: dict[tuple[int, int, int], str] = {
    (1, 1, 1): """
        APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS DECR DECRBY DUMP EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH
        GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HGET HGETALL
        HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HSTRLEN HVALS INCR INCRBY INCRBYFLOAT
        LINDEX LINSERT LLEN LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MOVE PERSIST PEXPIRE PEXPIREAT PEXPIRETIME
        PFADD PSETEX PTTL RESTORE RPOP RPUSH RPUSHX SADD SCARD SET SETBIT SETEX SETNX SETRANGE SISMEMBER SMEMBERS
        SMISMEMBER SORT SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSTR TTL TYPE XACK XADD XAUTOCLAIM XCLAIM XDEL
        XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN
        ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE
        ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE
    """,
    (1, 2, 1): "BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE",
    (1, -1, 1): """
        DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK WATCH
    """,
    (1, -2, 1): "BLPOP BRPOP BZPOPMAX BZPOPMIN",
    (1, -1, 2): "MSET MSETNX",
}
#: The same for channels, which are shown like keys.
CHANNELS: dict[tuple[int, int, int], str] = {
    (1, 1, 1): "PUBLISH SPUBLISH",
    (1, -1, 1): "PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE",
}
_POSITIONS = {name: range_ for table in (KEYS, CHANNELS) for range_, names in table.items() for name in names.split()}

#: The names of these commands have two words.
_CONTAINERS = {
    *("ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT", "PUBSUB"),
    *("SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO"),
}
_NAME = re.compile(r"[A-Z][A-Z0-9._-]{0,31}(?: [A-Z][A-Z0-9._-]{0,31})?").fullmatch


def split(args: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The name of a command, in capitals and with low cardinality, and its arguments.

    redis-py joins a name of two words (``CONFIG SET``). An application that calls ``execute_command`` may not.
    """
    name, rest = text(args[0]).upper(), args[1:]
    if name in _CONTAINERS and rest:
        name, rest = f"{name} {text(rest[0]).upper()}", rest[1:]
    return (name, rest) if _NAME(name) else ("COMMAND", rest)


def statement(name: str, rest: Sequence[Any]) -> str:
    """The text of the command *name* with the arguments *rest*: ``SET volume-1 ? ? ?``."""
    keys = range(0)
    if shows_keys() and name in _POSITIONS:
        first, last, step = _POSITIONS[name]
        keys = range(first - 1, len(rest) + last + 1 if last < 0 else last, step)
    shown = [text(each) if number in keys else VALUE for number, each in enumerate(rest[:MAX_ARGUMENTS])]
    return " ".join((name, *shown, *more(len(rest), MAX_ARGUMENTS)))


def statements(commands: Sequence[Sequence[Any]]) -> str:
    """The text of commands that are sent together: ``SET volume-1 ?; GET volume-2``."""
    shown = [statement(*split(args)) for args in commands[:MAX_COMMANDS]]
    return "; ".join((*shown, *more(len(commands), MAX_COMMANDS)))
