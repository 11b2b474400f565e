# SPDX-License-Identifier: Apache-2.0
"""On or off: who has decided it, and one function for each question.

A service's code decides by ``web.enable``, ``sqlalchemy.disable`` and the like, as with osprofiler 4. Configuration and
policy decide by the settings in force; :func:`follow` is called when these change. The last decision counts. An
object's own argument, such as a middleware's ``enabled``, counts as long as nobody has decided.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osprofiler.config.table import Settings


@dataclasses.dataclass
class _Decisions:
    wsgi: bool | None = None  # None: each middleware's own argument counts
    # None: those of each middleware. Secret, so in no text.
    wsgi_keys: Sequence[str] | None = dataclasses.field(default=None, repr=False)
    statements: bool = True


_last = _Decisions()


def reset() -> None:
    """Forget all decisions."""
    global _last
    _last = _Decisions()


# The questions


def service(conf: Any) -> bool:
    """Whether the configuration lets this service be traced. Raises NoSuchOptError without our options."""
    return bool(conf.profiler.enabled)


def service_statements(conf: Any) -> bool:
    """Whether the configuration has SQL statements traced. Raises NoSuchOptError without our options."""
    return service(conf) and bool(conf.profiler.trace_sqlalchemy)


def work(settings: Settings) -> bool:
    """Whether a unit of work, such as a request, may be traced at all."""
    return settings.enabled


def wsgi(own: bool, settings: Settings) -> bool:
    """Whether a middleware may trace a request; *own* is the middleware's argument ``enabled``."""
    return (own if _last.wsgi is None else _last.wsgi) and work(settings)


def wsgi_keys(own: Sequence[str]) -> Sequence[str]:
    """The keys that count in a middleware; *own* are those of its configuration."""
    return own if _last.wsgi_keys is None else _last.wsgi_keys


def statements() -> bool:
    """Whether SQL statements of instrumented engines become trace points."""
    return _last.statements


def engines(settings: Settings) -> bool:
    """Whether a new engine is instrumented.

    It is so too while configuration or policy have turned statements off, since they may turn them on again.
    """
    return _last.statements or settings.trace_sqlalchemy is False


# The decisions


def decide_wsgi(on: bool) -> None:
    """Turn every middleware of this process on or off."""
    _last.wsgi = on


def decide_wsgi_keys(keys: Sequence[str] | None) -> None:
    """Have only *keys* count in every middleware of this process; None: those of its own configuration."""
    _last.wsgi_keys = keys


def decide_statements(on: bool) -> None:
    """Trace the statements of instrumented engines, or stop doing so."""
    _last.statements = on


def follow(before: Settings, after: Settings, keys_changed: bool) -> None:
    """Decide by configuration and policy, whose settings have changed from *before* to *after*.

    Until *keys_changed*, an empty list of keys leaves each middleware its own.
    """
    decide_wsgi(after.enabled)
    if after.enabled:
        decide_wsgi_keys(after.hmac_keys if after.hmac_keys or keys_changed else None)
    if after.trace_sqlalchemy != before.trace_sqlalchemy:
        decide_statements(after.trace_sqlalchemy is not False)
