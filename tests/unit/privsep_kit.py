# SPDX-License-Identifier: Apache-2.0
"""A privileged daemon of oslo.privsep, a process of its own, and what it can do."""

import contextlib
import os
from collections.abc import Iterator

from oslo_privsep import priv_context

DAEMON = priv_context.PrivContext("tests", cfg_section="privsep_of_these_tests", capabilities=[])


@DAEMON.entrypoint
def process_id(text: str = "") -> int:
    return os.getpid()


@DAEMON.entrypoint
def refuse(text: str) -> None:
    raise ValueError(f"refused: {len(text)}")


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Run the daemon for a block."""
    DAEMON.start(priv_context.Method.FORK)
    try:
        yield
    finally:
        DAEMON.stop()
