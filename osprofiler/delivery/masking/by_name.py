# SPDX-License-Identifier: Apache-2.0
"""Masking in the caller, by the names of arguments. It needs none of the patterns that texts need."""

from __future__ import annotations

import functools
from typing import Any

from osprofiler.config.table import Settings
from osprofiler.delivery.masking.names import MASK, SecretNames

_names_by = functools.lru_cache(1)(SecretNames)


def arguments(names: tuple[str, ...], values: tuple[Any, ...], settings: Settings) -> tuple[Any, ...]:
    """The positional arguments *values*. Those whose parameter in *names* has the name of a secret are masked."""
    if not settings.mask_secrets or not (positions := _names_by(settings.mask_names).positions(names)):
        return values
    return tuple(MASK if number in positions and item is not None else item for number, item in enumerate(values))


def is_secret(name: str, settings: Settings) -> bool:
    """Whether a value with this *name* is masked."""
    return settings.mask_secrets and _names_by(settings.mask_names).is_secret(name)
