# SPDX-License-Identifier: Apache-2.0
"""The shared parts of the drivers of network stores: a client per process, errors of reading, lists, batches."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from osprofiler import exc
from osprofiler._runtime import inherited
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.drivers.errors import StoreUnavailable
from osprofiler.records.error_kind import error_kind

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

#: Time-outs of a connection and of a response, in seconds, unless the connection string has its own.
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 20.0
#: Time-out of a whole HTTP request that reads: a large trace needs long. Writing has the reporter's deadline.
READ_TIMEOUT_S = 120.0


def setting(conf: Any, name: str, default: T) -> T:
    """The option *name* in the group ``profiler`` of *conf*; *default* if *conf* does not have it."""
    try:
        value: T = getattr(conf.profiler, name)
    except AttributeError:  # the base class of oslo.config's NoSuchOptError
        return default
    return value


class PerProcess(Generic[T]):
    """A store's client. It is made when it is first needed, and again after a fork: the sockets are the parent's."""

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
        """Remove and return this process's client, if there is one. The next ``get`` makes another."""
        made, self._made = self._made, None
        return made[1] if made is not None and made[0] == os.getpid() else None

    def close(self) -> None:
        """Close this process's client, if there is one. The next ``get`` makes another."""
        client: Any = self.take()
        if client is not None:
            client.close()


@contextmanager
def reading(connection_string: str, *faults: Any, plain: Iterable[str] = ()) -> Iterator[None]:
    """Raise the *faults* of a store's client, and those of the network, as StoreUnavailable.

    Its text is one line, without the secrets of the string and those of *plain*.
    """
    try:
        yield
    except (OSError, *faults) as fault:  # the errors of requests are OSErrors
        # Without the cause: its text may have the secrets.
        raise cannot_read(connection_string, fault_line(fault, connection_string, plain=plain)) from None


def cannot_read(connection_string: str, reason: str) -> StoreUnavailable:
    """The error for a store that cannot be read. *reason* must have no secrets."""
    return StoreUnavailable(f"cannot read {masked(connection_string)}: {reason}")


def fault_of(response: requests.Response) -> Mapping[str, Any]:
    """The JSON object that a server has sent with an HTTP status of an error; empty if it has sent none."""
    try:
        value = response.json()
    except ValueError:  # not of the store itself, or the response to a HEAD
        return {}
    return value if isinstance(value, dict) else {}


def library(module: str, store: str, distribution: str, extra: str) -> Any:
    """The *module* of the client of *store*. Raises CommandError if its *distribution* is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as fault:
        raise exc.CommandError(
            f"traces in {store} need the library {distribution}: pip install 'osprofiler[{extra}]'"
        ) from fault


def earliest(records: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The record with the earliest time stamp of each trace, by base_id, in the order of time."""
    first: dict[str, Mapping[str, Any]] = {}
    for record in records:
        base_id = str(record.get("base_id"))
        if base_id not in first or _stamp(record) < _stamp(first[base_id]):
            first[base_id] = record
    return dict(sorted(first.items(), key=lambda item: (_stamp(item[1]), item[0])))


def _stamp(record: Mapping[str, Any]) -> str:
    return str(record.get("timestamp"))


def listed(records: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> list[dict[str, Any]]:
    """The result of ``list_traces``: the :func:`earliest` records, only with the keys in *fields*."""
    wanted = set(fields)
    return [{key: value for key, value in record.items() if key in wanted} for record in earliest(records).values()]


def failed(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those of *records* that are of an error."""
    return (record for record in records if error_kind(record.get("info")))


def by_trace(items: Iterable[T], record: Callable[[T], Mapping[str, Any]]) -> dict[str, list[T]]:
    """*items* by the ``base_id`` of the *record* in each."""
    traces: dict[str, list[T]] = {}
    for item in items:
        traces.setdefault(str(record(item).get("base_id")), []).append(item)
    return traces


def matching(base_ids: Iterable[str], prefix: str, suffix: str) -> list[str]:
    """The ids that begin with *prefix* and end with *suffix*."""
    return [base_id for base_id in base_ids if base_id.startswith(prefix) and base_id.endswith(suffix)]
