# SPDX-License-Identifier: Apache-2.0
"""Ask services for a trace by signed headers, and read the trace back from their store."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from osprofiler import reports, web
from osprofiler._utils import signed_pack
from osprofiler.drivers import base
from tests.waiting import wait_until

KEY = "KEY"


def signed(base_id: str, key: str = KEY) -> dict[str, str]:
    """The headers of a request that asks for the trace *base_id*."""
    info, signature = signed_pack({"base_id": base_id, "parent_id": base_id}, key)
    return {web.X_TRACE_INFO: info.decode(), web.X_TRACE_HMAC: signature or ""}


@contextlib.contextmanager
def running(program: Path, *arguments: str) -> Iterator[int]:
    """Run a service for the length of a block, and yield the port that it prints. It ends with its standard input."""
    with subprocess.Popen(
        [sys.executable, str(program), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.closing(process.stdin):
            yield int(process.stdout.readline())
    assert process.returncode == 0


class Store:
    """A store that services write to, in a file in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._url = f"sqlite:///{folder}/traces.db"
        self._driver = base.get_driver(self._url)

    def configuration(self, *options: str) -> str:
        """The text of a configuration file with this store and *options*."""
        fixed = ("enabled = true", f"hmac_keys = {KEY}", f"connection_string = {self._url}", "flush_interval = 0.05")
        return "\n".join(("[profiler]", *fixed, *options, ""))

    def base_ids(self) -> list[str]:
        """The traces in the store, none before it has been made."""
        try:
            return [str(trace["base_id"]) for trace in self._driver.list_traces()]
        except base.StoreUnavailable:
            return []

    def trace(self, base_id: str, names: Collection[str]) -> reports.Trace:
        """The trace, once it has spans with just these *names*, and all of them have ended."""

        def whole() -> reports.Trace:
            assert base_id in self.base_ids(), "it is not in the store"
            trace = reports.from_records(self._driver.read(base_id))
            spans = sorted((span.name, span.finished) for span in trace.spans.values())
            assert spans == sorted((name, True) for name in names), spans
            return trace

        return wait_until(whole, what=f"the spans {names}")
