# SPDX-License-Identifier: Apache-2.0
"""What would be traced: the layers by their switches, and the libraries that ``instrument`` and ``points`` name."""

from __future__ import annotations

from collections.abc import Iterator

from osprofiler.config import kinds, point_spec
from osprofiler.config.row import settings
from osprofiler.config.table import Settings
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig
from osprofiler.instrumentation import layers, points, registry

_OF_ZAQAR = "trace_wsgi_transport"


def check(config: ServiceConfig) -> Iterator[Result]:
    """The layers that are on and off, and the names in ``instrument`` that are not known."""
    switches = switched(config)
    on = [name for name, is_on in switches.items() if is_on]
    off = [name for name, is_on in switches.items() if not is_on]
    named = [name for name in _libraries(config) if name not in layers.SWITCHES]
    unknown = [name for name in named if not registry.is_known(name)]
    instrumented = [name for name in named if name not in unknown]
    values = {"on": on, "off": off, "instrument": instrumented, "unknown": unknown}
    text = f"on: {', '.join(on) or 'none'}; off: {', '.join(off) or 'none'}"
    if not config.settings.enabled:
        text = f"all are off with the service; with enabled = true {text}"
    if _profile_is_open(config):
        text += "; the profile of the project, which --project names, turns more of them on"
    yield Result("layers", Status.OK, text, values=values)
    if (config.project or "").lower() == "zaqar" and not _is_true(config.text("profiler", _OF_ZAQAR)):
        text = f"[profiler] {_OF_ZAQAR}, an option of Zaqar itself, is off: no web request is traced"
        yield Result("layers", Status.WARN, text, "set it to true")
    text, advice = ", ".join(instrumented) or "no library is named", ""
    if _profile_is_open(config):
        text = ", ".join([*instrumented, "what the profile of the project names"])
    elif "messaging" not in instrumented and point_spec.AUTO not in _points(config):
        # Where `auto` counts, a profile has messaging if its project has RPC, and `instrument` would turn `auto` off.
        advice = "add messaging to see both ends of each RPC"
    yield Result("instrument", Status.OK, text, advice)
    if unknown:
        yield Result(
            "instrument",
            Status.FAIL,
            f"not known: {', '.join(unknown)}",
            f"correct or remove it; known are {', '.join(registry.known())}",
        )


def _is_true(text: str | None) -> bool:
    return text is not None and text.strip().lower() in ("1", "true", "on", "yes")  # as oslo.config reads it


def switched(config: ServiceConfig) -> dict[str, bool]:
    """Each switch, and whether it is on in a service that is traced.

    A switch that is not set is on if ``instrument`` or a profile names a library of its layer.
    """
    in_force = config.settings
    switches = [
        name for name, row in settings(Settings).items() if name.startswith("trace_") and row.kind is kinds.SWITCH
    ]
    instrumented = {layers.SWITCHES.get(name) for name in _libraries(config)}
    return {
        name: bool(getattr(in_force, name)) or (name in instrumented and config.source(name) == "default")
        for name in switches
    }


def _points(config: ServiceConfig) -> tuple[str, ...]:
    """The entries of ``points``. Libraries are instrumented at the start, before the policy counts."""
    return points.entries(config.option("points"), config.option("instrument"))


def _profile_is_open(config: ServiceConfig) -> bool:
    """Whether the profile of the project counts, and the project is not known."""
    return not config.project and point_spec.AUTO in _points(config)


def _libraries(config: ServiceConfig) -> tuple[str, ...]:
    """What is instrumented at the start. A profile of a project that is not known is left out."""
    wanted = _points(config)
    if not config.project:
        wanted = tuple(entry for entry in wanted if entry != point_spec.AUTO)
    return points.instrumentations(
        config.project or "",
        wanted,
        config.option("instrument"),
        lambda option: _is_true(config.text("profiler", option)),
    )
