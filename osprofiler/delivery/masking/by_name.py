# SPDX-License-Identifier: Apache-2.0
"""Masking in the caller, by the names of arguments. It needs none of the patterns that texts need."""

from __future__ import annotations

from typing import Any

from osprofiler import config
from osprofiler.delivery.masking.names import MASK, SecretNames

_cached: tuple[tuple[str, ...], SecretNames] | None = None


def arguments(names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The positional arguments *values*. Those whose parameter in *names* has the name of a secret are masked."""
    secret_names = _secret_names()
    if secret_names is None or not (positions := secret_names.positions(names)):
        return values
    return tuple(MASK if number in positions and item is not None else item for number, item in enumerate(values))


def is_secret(name: str) -> bool:
    """Whether a value with this *name* is masked."""
    secret_names = _secret_names()
    return secret_names is not None and secret_names.is_secret(name)


def _secret_names() -> SecretNames | None:
    """The names of secrets by the current settings; None if they mask nothing."""
    global _cached
    settings = config.current()
    if not settings.mask_secrets:
        return None
    cached = _cached
    if cached is None or cached[0] != settings.mask_names:
        _cached = cached = (settings.mask_names, SecretNames(settings.mask_names))
    return cached[1]
