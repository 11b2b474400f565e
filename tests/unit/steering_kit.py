# SPDX-License-Identifier: Apache-2.0
"""Followers of a policy in tests: make them, see what they say, and end them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler.steering.follower import PolicyFollower
from osprofiler.steering.sources import source_of
from tests.waiting import wait_until

Follow = Callable[..., PolicyFollower]


@contextlib.contextmanager
def following(caplog: pytest.LogCaptureFixture) -> Iterator[Follow]:
    """A function that makes a follower of an address. All of them end with the block."""
    caplog.set_level(logging.INFO, "osprofiler")
    made: list[PolicyFollower] = []

    def make(address: object, **options: Any) -> PolicyFollower:
        changed = options.pop("changed", lambda policy: None)
        follower = PolicyFollower(source_of(str(address)), changed, **{"interval_s": 0.02, **options})
        made.append(follower)
        follower.begin()
        return follower

    yield make
    for each in made:
        each.end()
    wait_until(lambda: not threads(), what="the ends of their flows")


def sampler(text: str) -> str:
    return f"services:\n  '*':\n    sampler: {text}\n"


def put(file: Path, content: str | bytes) -> None:
    """Replace the file as a whole: a follower may read it at any moment."""
    new = file.with_suffix(".put")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    new.replace(file)


def rate(follower: PolicyFollower) -> Any:
    return follower.policy.of("nova-api").get("sampler")


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The complaints about the policy. Reporters of earlier tests may have complaints of their own."""
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and " policy " in record.getMessage()
    ]
    assert not [line for line in lines if "\n" in line]
    return lines


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "osprofiler-policy"]
