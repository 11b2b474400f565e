# SPDX-License-Identifier: Apache-2.0
"""Show the values of settings to people and programs, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.config import sampler_spec
from osprofiler.config.row import settings
from osprofiler.config.table import Settings
from osprofiler.config.trust import Trust


def plain(value: Any) -> Any:
    """The value of a setting as JSON has it."""
    if isinstance(value, tuple):
        pairs = value and all(isinstance(each, tuple) for each in value)
        return {pattern: sampler_spec.shown(spec) for pattern, spec in value} if pairs else list(map(str, value))
    if isinstance(value, Trust):
        return str(value)
    return sampler_spec.shown(value) if isinstance(value, str) else value


def text(value: Any) -> str:
    """The value of a setting as text on one line."""
    shown = plain(value)
    if isinstance(shown, bool):
        return str(shown).lower()
    if isinstance(shown, dict):
        return "; ".join(f"{pattern!r} {spec}" for pattern, spec in shown.items())
    return ", ".join(shown) if isinstance(shown, list) else str(shown)


def policy(chosen: Mapping[str, Any], table: type = Settings) -> str:
    """The settings *chosen* by a policy as text on one line, without those that are secret. Rules are counted."""
    rows = settings(table)
    shown = {name: value for name, value in chosen.items() if name in rows and not rows[name].secret}
    return ", ".join(f"{name} = {len(value) if name == 'rules' else text(value)}" for name, value in shown.items())
