# SPDX-License-Identifier: Apache-2.0
"""A profile: a YAML file with the trace points of a service, and the libraries to instrument with them.

::

    instrument: [messaging, requests]   # as [profiler] instrument takes them
    instrument_if:                      # more of them, each if an option in [profiler], of the service itself, is on
      trace_message_store: [redis]
    points:                             # a line each, as osprofiler.config.point_spec reads it
    - nova.compute.manager:ComputeManager._build_and_run_instance name=compute hide_args
    drivers:                            # the same, while the switch trace_drivers is on
    - nova.virt.driver:ComputeDriver+ name=virt hide_args

Each key may be missing. Points under a kind, such as ``drivers``, have the kind's switch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from osprofiler.config import point_spec, policy_nodes
from osprofiler.config.kinds import Complain
from osprofiler.config.point_spec import PointSpec

SHIPPED = Path(__file__).parent / "profiles"

#: The shipped profile for projects that have none of their own.
DEFAULT = "default"

#: The kinds of points, which have sections of their own, and the switch of each, a setting.
KINDS = {"db_api": "trace_db_api", "drivers": "trace_drivers", "pooling": "trace_pooling"}

_KEYS = ("instrument", "instrument_if", "points", *KINDS)


class Profile(NamedTuple):
    """Trace points, and names of libraries to instrument."""

    instrument: tuple[str, ...] = ()
    points: tuple[PointSpec, ...] = ()
    #: Options of the service itself, and the libraries to instrument if they are on.
    instrument_if: tuple[tuple[str, str], ...] = ()


def shipped() -> list[str]:
    """The names of the profiles that are shipped."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def load(path: Path, complain: Complain) -> Profile:
    """The profile in the file *path*; *complain* gets a line about each part that cannot be used.

    Raises OSError, and ValueError for a file that is not a profile.
    """
    import yaml

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=policy_nodes.loader()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(content, dict) or not content.keys() <= set(_KEYS):
        raise ValueError(f"only these keys are known: {', '.join(_KEYS)}")
    conditions = content.get("instrument_if") or {}
    if not isinstance(conditions, dict):
        raise ValueError("instrument_if: lists of libraries are wanted, by options")
    specs = list(parsed(_listed(content, "points"), complain))
    for kind, switch in KINDS.items():
        specs += [spec._replace(switch=switch) for spec in parsed(_listed(content, kind), complain)]
    return Profile(
        _listed(content, "instrument"),
        tuple(specs),
        tuple((str(option), library) for option in conditions for library in _listed(conditions, option)),
    )


def parsed(lines: Iterable[str], complain: Complain) -> tuple[PointSpec, ...]:
    """The points that *lines* ask for; *complain* gets a line about each that asks for none."""
    specs = []
    for line in lines:
        try:
            specs.append(point_spec.parse(line))
        except ValueError as error:
            complain(str(error))
    return tuple(specs)


def _listed(content: dict[str, Any], key: str) -> tuple[str, ...]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f"{key}: a list is wanted")
    return tuple(map(str, value))
