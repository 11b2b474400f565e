# SPDX-License-Identifier: Apache-2.0
"""The scheduler step of the conductor: asks all hosts concurrently, and chooses the one with the most free memory.

The demo's ``--model`` chooses how it works concurrently; the fork and its branches are the same in each model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from osprofiler import profiler

if TYPE_CHECKING:
    from osprofiler.concurrency.fork import Fork

FreeMb = Callable[[str], int]


class NoValidHost(Exception):
    """No host has the memory that the server needs."""


@profiler.trace("scheduler.select_host", hide_args=True)
def select_host(hosts: Sequence[str], free_mb: FreeMb, needed_mb: int, model: str = "threads") -> str:
    """The host with the most memory; *free_mb* asks one host and blocks. Raises NoValidHost."""
    with profiler.fork("scheduler.ask") as fork:
        answers = _MODELS[model](fork, hosts, free_mb)  # at the end of the block the fork joins the branches
    free = dict(zip(hosts, answers, strict=True))
    best = max(free, key=lambda host: free[host])
    if free[best] < needed_mb:
        raise NoValidHost(f"{needed_mb} MB needed; free: {free}")
    return best


def _on_threads(fork: Fork, hosts: Sequence[str], free_mb: FreeMb) -> list[int]:
    with ThreadPoolExecutor(len(hosts)) as threads:
        asked = [threads.submit(fork.wrap(free_mb), host) for host in hosts]
    return [answer.result() for answer in asked]


def _in_tasks(fork: Fork, hosts: Sequence[str], free_mb: FreeMb) -> list[int]:
    async def ask(host: str) -> int:
        with fork.branch():
            return await asyncio.to_thread(free_mb, host)  # runs in a copy of this task's context

    async def ask_all() -> list[int]:
        return await asyncio.gather(*map(ask, hosts))

    return asyncio.run(ask_all())


def _on_greenthreads(fork: Fork, hosts: Sequence[str], free_mb: FreeMb) -> list[int]:
    import eventlet

    asked = [eventlet.spawn(fork.wrap(free_mb), host) for host in hosts]
    return [answer.wait() for answer in asked]


_MODELS: dict[str, Callable[[Fork, Sequence[str], FreeMb], list[int]]] = {
    "threads": _on_threads,
    "asyncio": _in_tasks,
    "eventlet": _on_greenthreads,
}
