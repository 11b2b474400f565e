# SPDX-License-Identifier: Apache-2.0
"""The records in a Redis, by the names of their keys.

Many keys are one round trip. Values of other types are reported, and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from osprofiler.drivers import network, redis_client
from osprofiler.drivers.redis_client import text
from osprofiler.records import unreadable
from osprofiler.records.record import loads


class Namespaces(NamedTuple):
    """The beginnings of the names of keys."""

    traces: str  # a list of records, by the id of the trace
    failed: str  # a mark, by the id of a trace with an error
    old: str  # one record of a version before 2.3; the id of its trace, and more, follows


class Names(NamedTuple):
    """What the names of all keys tell."""

    base_ids: set[str]
    failed: set[str]
    old: dict[str, Mapping[str, Any]]  # the first record of each trace of a version before 2.3


class Lists:
    """Reads the keys of *namespaces*. *shown*: the name of the store in messages."""

    def __init__(self, client: redis_client.Client, shown: str, namespaces: Namespaces) -> None:
        self._client = client
        self._shown = shown
        self._spaces = namespaces

    def lengths(self, base_ids: Sequence[str]) -> dict[str, int]:
        """The numbers of records of those of these traces that are in the store."""
        lengths = self._each(base_ids, lambda pipeline, key: pipeline.llen(key))
        return {base_id: length for base_id, length in zip(base_ids, lengths, strict=True) if length}

    def ranges(self, base_ids: Sequence[str], begin: int) -> Iterator[list[dict[str, Any]]]:
        """The records of each of these traces from the place *begin*. The last place is the one written first."""
        for base_id, values in zip(
            base_ids, self._each(base_ids, lambda pipeline, key: pipeline.lrange(key, begin, -1)), strict=True
        ):
            yield list(self.readable(self._spaces.traces + base_id, values or ()))

    def _each(self, base_ids: Sequence[str], command: Callable[[Any, str], Any]) -> Iterator[Any]:
        """The responses to *command* for the key of each trace, in one round trip; None if the value is not a list."""
        if not base_ids:
            return
        pipeline = self._client.ready().pipeline(transaction=False)
        for base_id in base_ids:
            command(pipeline, self._spaces.traces + base_id)
        for base_id, value in zip(base_ids, pipeline.execute(raise_on_error=False), strict=True):
            if isinstance(value, Exception):
                if not redis_client.has_wrong_type(value):
                    raise value
                self._skip_key(self._spaces.traces + base_id, "its value is not a list")
                yield None
            else:
                yield value

    def names(self) -> Names:
        """What the names of the keys tell, by one scan. The records of old versions are read, to know their times."""
        names = Names(set(), set(), {})
        for keys in self._client.keys(_common(self._spaces)):
            old = []
            for key in keys:
                name = text(key)
                if name.startswith(self._spaces.traces):
                    names.base_ids.add(name[len(self._spaces.traces) :])
                elif name.startswith(self._spaces.failed):
                    names.failed.add(name[len(self._spaces.failed) :])
                elif name.startswith(self._spaces.old):
                    old.append(key)
            records = [record for _, record in self._read_old(old)]
            names.old.update(network.earliest([*names.old.values(), *records]))
        return names

    def marks(self, read: Callable[[Any], dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The marks of the traces with an error, each converted by *read*."""
        for keys in self._client.keys(self._spaces.failed):
            for key, value in self._texts(keys):
                yield from self.readable(key, [value], read)

    def old_records(self, prefix: str = "") -> Iterator[tuple[Any, dict[str, Any]]]:
        """The records of versions before 2.3 whose keys begin with *prefix*, each with its key."""
        for keys in self._client.keys(self._spaces.old + prefix):
            yield from self._read_old(keys)

    def _read_old(self, keys: Sequence[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
        for key, value in self._texts(keys):
            for record in self.readable(key, [value]):
                yield key, record

    def _texts(self, keys: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """The texts under *keys*, each with its key. A key that was removed meanwhile is left out."""
        if not keys:
            return
        for key, value in zip(keys, self._client.values(list(keys)), strict=True):
            if value is not None:
                yield key, value
            elif self._client.ready().exists(key):  # MGET returns None for a value of another type too
                self._skip_key(key, "its value is not a text")

    def readable(
        self, key: Any, values: Iterable[Any], read: Callable[[Any], dict[str, Any]] = loads
    ) -> Iterator[dict[str, Any]]:
        """The results of *read* for those of *values* that can be read. The others, under *key*, are reported."""

        def name_of(value: Any) -> str:
            return f"{text(value)[:60]!r} under the key {text(key)}"

        return unreadable.readable(self._shown, values, read, name_of)

    def _skip_key(self, key: Any, why: str) -> None:
        unreadable.skip(self._shown, f"the key {text(key)}", why)


def _common(texts: Iterable[str]) -> str:
    """The common beginning of *texts*."""
    first, last = min(texts), max(texts)
    return first[: next((i for i, char in enumerate(first) if last[i : i + 1] != char), len(first))]
