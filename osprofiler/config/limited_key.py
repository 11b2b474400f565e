# SPDX-License-Identifier: Apache-2.0
"""A key that can do less than those of ``hmac_keys``; and which keys are too weak to be secret."""

from __future__ import annotations

import dataclasses
import math

from osprofiler.context.identity import Identity

#: The key that is the option's default in every release, so everybody knows it.
DEFAULT_KEY = "SECRET_KEY"

#: A shorter key may be guessed: its digests travel in each request.
SHORT_BYTES = 16


@dataclasses.dataclass(frozen=True)
class LimitedKey:
    """A key of a policy, and what it can do."""

    name: str
    secret: str = dataclasses.field(repr=False)
    rate: str = ""  # a sampler: see sampler_spec; empty: all its requests
    max_age_s: float = math.inf  # between the signing and the arrival of a request
    clock_skew_s: float = 10.0  # by how much the clocks of sender and receiver may differ
    until_s: float = math.inf  # seconds since the epoch
    may: frozenset[str] = frozenset()  # what a request may ask for beyond the trace: names of ``on_request``
    projects: frozenset[str] = frozenset()  # whose requests it is for, by id or name; empty: all
    users: frozenset[str] = frozenset()  # the same

    @property
    def limits_age(self) -> bool:
        """Whether it counts when a request was signed."""
        return self.max_age_s < math.inf

    @property
    def limits_whom(self) -> bool:
        """Whether it counts who sends a request."""
        return bool(self.projects or self.users)

    def is_for(self, identity: Identity) -> bool:
        """Whether *identity* may use it."""
        return not (
            (self.projects and self.projects.isdisjoint(identity.project))
            or (self.users and self.users.isdisjoint(identity.user))
        )


def is_default(key: str) -> bool:
    """Whether *key* is the default, which everybody knows."""
    return key == DEFAULT_KEY


def is_short(key: str) -> bool:
    """Whether *key* is so short that it may be guessed."""
    return size(key) < SHORT_BYTES


def size(key: str) -> int:
    """The size of *key* in bytes."""
    return len(key.encode("utf-8", "surrogatepass"))
