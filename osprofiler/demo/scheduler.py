# SPDX-License-Identifier: Apache-2.0
"""The scheduler step of the conductor: asks all hosts at once, on threads, and takes the one with most free memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from osprofiler import profiler


class NoValidHost(Exception):
    """No host has the memory that the server needs."""


@profiler.trace("scheduler.select_host", hide_args=True)
def select_host(hosts: Sequence[str], free_mb: Callable[[str], int], needed_mb: int) -> str:
    """The host with most memory; *free_mb* asks one host. Raises NoValidHost."""
    # The threads have ended when the inner block is left; then the fork joins them.
    with profiler.fork("scheduler.ask") as fork, ThreadPoolExecutor(len(hosts)) as threads:
        asked = {host: threads.submit(fork.wrap(free_mb), host) for host in hosts}
    free = {host: answer.result() for host, answer in asked.items()}
    best = max(free, key=lambda host: free[host])
    if free[best] < needed_mb:
        raise NoValidHost(f"{needed_mb} MB needed; free: {free}")
    return best
