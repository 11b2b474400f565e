# SPDX-License-Identifier: Apache-2.0
"""What ``points`` asks for, in the configuration or the policy: trace points, files of these, and shipped profiles."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from osprofiler.config import Settings, point_spec
from osprofiler.config.kinds import Complain
from osprofiler.instrumentation.points import profile
from osprofiler.instrumentation.points.placing import placing
from osprofiler.instrumentation.points.profile import Profile

LOG = logging.getLogger(__name__)


def follow(project: str, settings: Settings) -> None:
    """Have the trace points in place that *settings* ask for, in a service of *project*; no others."""
    wanted = chosen(project, settings.points, settings.instrument, _log).points if settings.enabled else ()
    placing.follow(tuple(spec for spec in wanted if not spec.switch or getattr(settings, spec.switch)))


def instrumentations(
    project: str, points: tuple[str, ...] | None, instrument: tuple[str, ...], is_on: Callable[[str], bool]
) -> tuple[str, ...]:
    """The libraries to instrument at the start: those of *instrument*, and of the profiles in *points*.

    *is_on* tells whether an option of the service itself is on; some libraries depend on one.
    """
    by_profiles = chosen(project, points, instrument, lambda _: None)  # follow() tells the mistakes
    conditional = (library for option, library in by_profiles.instrument_if if is_on(option))
    return tuple(dict.fromkeys((*instrument, *by_profiles.instrument, *conditional)))


def entries(points: tuple[str, ...] | None, instrument: tuple[str, ...]) -> tuple[str, ...]:
    """The entries of *points*. Without a value it is ``auto``, unless the operator has chosen what to *instrument*."""
    if points is None:
        return () if instrument else (point_spec.AUTO,)
    return points


def chosen(project: str, points: tuple[str, ...] | None, instrument: tuple[str, ...], complain: Complain) -> Profile:
    """The profiles and points that the entries *points* name, as one; *complain* gets a line about each mistake."""
    parts = [_part(entry, project.lower(), complain) for entry in entries(points, instrument)]
    return Profile(
        tuple(name for part in parts for name in part.instrument),
        tuple(spec for part in parts for spec in part.points),
        tuple(pair for part in parts for pair in part.instrument_if),
    )


def _log(mistake: str) -> None:
    LOG.error("[profiler] points: %s", mistake)


def _part(entry: str, project: str, complain: Complain) -> Profile:
    def of_entry(mistake: str) -> None:
        complain(f"{entry}: {mistake}")

    if point_spec.is_point(entry):
        return Profile(points=profile.parsed([entry], complain))
    names = profile.shipped()
    if entry == point_spec.AUTO:
        entry = project if project in names else profile.DEFAULT
    try:
        return profile.load(profile.SHIPPED / f"{entry}.yaml" if entry in names else Path(entry), of_entry)
    except (OSError, ValueError) as error:
        known = "" if "/" in entry else f"; the shipped profiles are {', '.join(names)}"
        of_entry(f"it cannot be used: {error}{known}")
        return Profile()
