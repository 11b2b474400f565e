# SPDX-License-Identifier: Apache-2.0
"""Read batches of a set's traces in another process."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from osprofiler.cmd import sets, sources
from osprofiler.drivers import base, search
from osprofiler.drivers.search import Wanted
from osprofiler.reports.model import Trace


class FileReader:
    """Reads batches of files, each with its folder. *whole*: with the tags of spans."""

    def __init__(self, wanted: Wanted, whole: bool) -> None:
        self._wanted = wanted
        self._whole = whole

    def traces(self, files: Iterable[tuple[Path, Path]]) -> Iterator[Trace]:
        """The matching traces in *files*."""
        for folder, file in files:
            for trace in sets.loaded(file, folder, whole=self._whole):
                if trace.spans and self._wanted.chooses(trace):
                    yield trace


class StoreReader:
    """Reads batches of traces from the store of *args*. Each process opens connections of its own."""

    def __init__(self, args: argparse.Namespace, wanted: Wanted) -> None:
        self._options = {key: value for key, value in vars(args).items() if key not in ("func", "loaded")}
        self._wanted = wanted
        self._driver: base.Driver | None = None

    def traces(self, base_ids: Iterable[str]) -> Iterator[Trace]:
        """The matching ones of the traces *base_ids*."""
        if self._driver is None:
            self._driver = sources.driver(argparse.Namespace(**self._options))
        return search.matching(self._driver, base_ids, self._wanted)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_driver": None}
