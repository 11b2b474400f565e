# SPDX-License-Identifier: Apache-2.0
"""A privileged daemon of oslo.privsep, a program of its own, and what it can do."""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator

from oslo_config import cfg
from oslo_privsep import priv_context

from tests.pages import REPOSITORY

_SECTION = "privsep_of_these_tests"
DAEMON = priv_context.PrivContext("tests", cfg_section=_SECTION, pypath=f"{__name__}.DAEMON", capabilities=[])


@DAEMON.entrypoint
def process_id(text: str = "") -> int:
    return os.getpid()


@DAEMON.entrypoint
def refuse(text: str) -> None:
    raise ValueError(f"refused: {len(text)}")


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Run the daemon for a block.

    Services start it like this. It is not forked off the process of the tests, since some of their libraries, such as
    gRPC's, do not work in a forked child.
    """
    helper = "from oslo_privsep.daemon import helper_main; helper_main()"
    command = ["env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-c", helper]
    cfg.CONF.set_override("helper_command", shlex.join(command), _SECTION)
    try:
        DAEMON.start()
        yield
    finally:
        DAEMON.stop()
        cfg.CONF.clear_override("helper_command", _SECTION)
