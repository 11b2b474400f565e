# SPDX-License-Identifier: Apache-2.0
"""Options that do not exist, have an old name, or have a value that cannot be used."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator

from osprofiler.config import options
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig

#: The options that code of services registers in [profiler], by project.
_OF_SERVICES = {
    "mistral": ("profiler_log_name",),
    "zaqar": ("trace_wsgi_transport", "trace_message_store", "trace_management_store"),
}


def check(config: ServiceConfig) -> Iterator[Result]:
    """One result for each wrong option, or one if there is none."""
    results = [
        *(
            Result("options", Status.WARN, line, "correct or remove it")
            for line in options.unknown(config.conf, _of_service(config.project))
        ),
        *(Result("options", Status.WARN, line, "rename it") for line in options.deprecated(config.conf)),
        *(Result("options", Status.FAIL, line, "correct it") for line in config.complaints),
        *_scope_manager(config),
    ]
    yield from results or [Result("options", Status.OK, "all names and values in [profiler*] are known")]


def _of_service(project: str | None) -> tuple[str, ...]:
    """The options in [profiler] of a service of *project*; of all services if it is not known."""
    named = _OF_SERVICES.items()
    return tuple(name for of, names in named for name in names if project is None or project.lower() == of)


def _scope_manager(config: ServiceConfig) -> Iterator[Result]:
    path = config.option("scope_manager")
    if not path:
        return
    try:
        pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        text = f"[profiler] scope_manager: {path}: {type(error).__name__}; osprofiler's own is used"
        yield Result("options", Status.FAIL, text, "name an importable class as module:Class")
