# SPDX-License-Identifier: Apache-2.0
"""Options that do not exist, have an old name, or have a value that cannot be used."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator

from osprofiler.config import options
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig


def check(config: ServiceConfig) -> Iterator[Result]:
    """One result for each wrong option, or one if there is none."""
    results = [
        *(Result("options", Status.WARN, line, "correct or remove it") for line in options.unknown(config.conf)),
        *(Result("options", Status.WARN, line, "rename it") for line in options.deprecated(config.conf)),
        *(Result("options", Status.FAIL, line, "correct it") for line in config.complaints),
        *_scope_manager(config),
    ]
    yield from results or [Result("options", Status.OK, "all names and values in [profiler*] are known")]


def _scope_manager(config: ServiceConfig) -> Iterator[Result]:
    path = config.option("scope_manager")
    if not path:
        return
    try:
        pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        text = f"[profiler] scope_manager: {path}: {type(error).__name__}; osprofiler's own is used"
        yield Result("options", Status.FAIL, text, "name an importable class as module:Class")
