# SPDX-License-Identifier: Apache-2.0
"""Search for a service by the name that is shown for it: ``service``, or ``project-service``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from osprofiler.drivers.wanted import Wanted
from osprofiler.reports import wording

_WILDCARDS = frozenset("*?[")


def without_exact(wanted: Wanted) -> Wanted:
    """*wanted* without its service, if a store that looks at single records can tell exactly which traces have it."""
    is_exact = wanted.service is not None and is_literal(wanted.service) and not wanted.error
    return dataclasses.replace(wanted, service=None) if is_exact else wanted


def shown(names: Iterable[tuple[object, object]]) -> list[str]:
    """The names that reports show for these pairs of project and service, each once."""
    # As in the model of a trace, an empty name counts as none.
    return sorted({wording.service_place(str(service or ""), str(project or "")) for project, service in names})


def is_literal(pattern: str) -> bool:
    """Whether *pattern* has no wildcards. Then :func:`pairs` match no others."""
    return _WILDCARDS.isdisjoint(pattern)


def may_be_service(pattern: str, service: str | None, project: str | None) -> bool:
    """Whether a span with this *service* and *project* may match the *pattern* ``Wanted.service``."""
    return any(
        fnmatchcase(name, pattern) for name in (service or "", f"{project}-{service}" if service else project or "")
    )


def pairs(pattern: str) -> Iterator[tuple[str, str]]:
    """Patterns of project and service, one of which matches if *pattern* matches ``project-service``.

    They may also match others: for ``[...]`` they have ``?``, and a project that is in the name of the service is not
    shown.
    """
    parts = _parts(pattern)
    for i, part in enumerate(parts):
        before, after = "".join(parts[:i]), "".join(parts[i + 1 :])
        if part == "*":
            yield f"{before}*", f"*{after}"
        elif part in ("-", "?") and not (is_literal(pattern) and before in after):
            yield before, after


def loose(pattern: str) -> str:
    """*pattern* with ``?`` for each ``[...]``: it matches the same names, and perhaps others."""
    return "".join(_parts(pattern))


def _parts(pattern: str) -> list[str]:
    """The characters of *pattern*; ``?`` for each ``[...]``."""
    parts = []
    at = 0
    while at < len(pattern):
        # As in fnmatch: a "]" that comes first in the brackets does not close them.
        end = pattern.find("]", at + (3 if pattern[at + 1 : at + 2] == "!" else 2)) if pattern[at] == "[" else -1
        parts.append("?" if end >= 0 else pattern[at])
        at = end + 1 if end >= 0 else at + 1
    return parts
