# SPDX-License-Identifier: Apache-2.0
"""Switches and limits in force: one immutable object, replaced as a whole when the configuration changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the policy and ``[profiler]`` say, or the defaults where a process never read a configuration."""

    enabled: bool = True
    hmac_keys: tuple[str, ...] = dataclasses.field(default=(), repr=False)  # the first signs what a sampler started
    # Continue foreign context (uber-trace-id, traceparent, b3). None, where no configuration was read: no, but
    # OpenTracing's extract does, since the application itself calls it.
    trust_incoming: bool | None = None
    propagation: tuple[str, ...] = ("osprofiler", "jaeger", "w3c")  # formats to write; all are read
    rpc_plain_peers: bool = False
    sampler: str = ""  # who starts traces that nobody asked for; "" nobody
    operations: tuple[tuple[str, str], ...] = ()  # (pattern, sampler): the first that fits counts, else the above
    trace_requests: bool = False
    trace_sqlalchemy: bool | None = None  # None: as the service decided when it started
    trace_arguments: str = "full"  # what points keep of a function's arguments and result: full, types, none
    # What is a secret leaves the process as ***: by known names and patterns, by further names, by regular expressions.
    mask_secrets: bool = True
    mask_names: tuple[str, ...] = ()
    mask_patterns: tuple[str, ...] = ()
    instrument: tuple[str, ...] = ()
    queue_spans: int = 100_000
    queue_bytes: int = 64 << 20
    flush_interval_s: float = 1.0
    flush_timeout_s: float = 5.0  # the deadline at exit

    @property
    def first_key(self) -> str | None:
        """The key that signs a trace which has none of its own: services behind it, which trust nobody, continue it."""
        return self.hmac_keys[0] if self.hmac_keys else None

    @property
    def samples(self) -> bool:
        """Whether a request that nobody asked to trace may be traced."""
        return bool(self.sampler or self.operations)


_current = Settings()

_look: Callable[[], None] | None = None


def current() -> Settings:
    """The settings in force."""
    return _current


def fresh() -> Settings:
    """The settings for a unit of work that begins now."""
    if _look is not None:
        _look()
    return _current


def publish(**changes: Any) -> Settings:
    """Replace the settings in force by a copy with *changes*, and return it."""
    global _current
    _current = dataclasses.replace(_current, **changes)
    return _current


def reset() -> None:
    """Go back to the defaults."""
    global _current
    _current = Settings()
    watch(None)


def watch(look: Callable[[], None] | None) -> None:
    """Call *look* before each unit of work; it publishes newer settings if there are any. None: call nothing."""
    global _look
    _look = look
