# SPDX-License-Identifier: Apache-2.0
"""What the drivers of network stores share: a client for each process, and one line for the reader where a store cannot
be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from osprofiler import exc
from osprofiler._runtime import inherited
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked

T = TypeVar("T")

#: How long to wait for a connection, and for an answer, unless the connection string says otherwise; and for the whole
#: of an HTTP request that reads: a large trace is long in coming. What writes has the reporter's deadline.
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 20.0
READ_TIMEOUT_S = 120.0


def setting(conf: Any, name: str, default: T) -> T:
    """The option *name* of *conf*'s group ``profiler``; *default* where *conf* does not know it."""
    try:
        value: T = getattr(conf.profiler, name)
    except AttributeError:  # oslo.config's NoSuchOptError is one
        return default
    return value


class PerProcess(Generic[T]):
    """A store's client, made when it is first needed and anew after a fork: sockets are the parent's."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[int, T] | None = None

    def get(self) -> T:
        """This process's client."""
        made = self._made
        if made is None or made[0] != os.getpid():
            if made is not None:
                inherited.keep(made[1])
            self._made = made = (os.getpid(), self._make())
        return made[1]

    def take(self) -> T | None:
        """This process's client, if there is one, to be closed: the next ``get`` makes another."""
        made, self._made = self._made, None
        return made[1] if made is not None and made[0] == os.getpid() else None


@contextmanager
def reading(connection_string: str, *faults: Any, plain: Iterable[str] = ()) -> Iterator[None]:
    """Turn *faults* of a store's client, and of the network, into a CommandError of one line without the secrets of
    the string, and without those of *plain*."""
    try:
        yield
    except (OSError, *faults) as fault:  # what requests raises is one
        # Without its cause, which may hold what was cut.
        raise cannot_read(connection_string, fault_line(fault, connection_string, plain=plain)) from None


def cannot_read(connection_string: str, why: str) -> exc.CommandError:
    """The fault for a store that cannot be read; *why* has no secrets."""
    return exc.CommandError(f"cannot read {masked(connection_string)}: {why}")


def missing(store: str, library: str, extra: str) -> exc.CommandError:
    """The fault for a *library* that is not installed."""
    return exc.CommandError(f"traces in {store} need the library {library}: pip install 'osprofiler[{extra}]'")


def earliest(records: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The record with the first time stamp of each trace, by base_id; traces by that time."""
    first: dict[str, Mapping[str, Any]] = {}
    for record in records:
        base_id = str(record.get("base_id"))
        if base_id not in first or _stamp(record) < _stamp(first[base_id]):
            first[base_id] = record
    return dict(sorted(first.items(), key=lambda item: (_stamp(item[1]), item[0])))


def _stamp(record: Mapping[str, Any]) -> str:
    return str(record.get("timestamp"))


def listed(records: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> list[dict[str, Any]]:
    """What ``list_traces`` returns: the :func:`earliest` records, cut down to *fields*."""
    wanted = set(fields)
    return [{key: value for key, value in record.items() if key in wanted} for record in earliest(records).values()]


def in_batches(sized: Iterable[tuple[T, int]], most_items: int, most_size: int) -> Iterator[list[T]]:
    """The items of *sized*, each given with its size, in batches of at most *most_items* and *most_size* in total.

    An item that is larger than *most_size* is a batch of its own.
    """
    batch: list[T] = []
    size = 0
    for item, length in sized:
        if batch and (len(batch) == most_items or size + length > most_size):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
