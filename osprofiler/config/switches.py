# SPDX-License-Identifier: Apache-2.0
"""The switches: what is on, and who has decided it. There is one function for each question.

The code of a service decides through ``web.enable``, ``sqlalchemy.disable`` and similar functions, as in osprofiler 4.
The configuration and the policy decide through the settings in force: :func:`follow` is called when these change. The
last decision counts. Before the first decision, the object's own argument counts, such as a middleware's ``enabled``;
a middleware that was made with false stays off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from osprofiler.config.settings import current
from osprofiler.config.table import ARGUMENTS, SQL, Settings

if TYPE_CHECKING:
    from osprofiler.context.origin import Origin


_OFF = frozenset(("", "0", "false", "no", "off", "f", "n"))


@dataclasses.dataclass
class _Decisions:
    wsgi: bool | None = None  # None: each middleware's own argument counts
    # None: each middleware's own keys count. They are secret, so the repr does not show them.
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
    """Whether the configuration lets SQL statements be traced. Raises NoSuchOptError without our options."""
    return service(conf) and bool(conf.profiler.trace_sqlalchemy)


def work(settings: Settings) -> bool:
    """Whether a unit of work, such as a request, may be traced."""
    return settings.enabled


def wsgi(own: bool | None, settings: Settings) -> bool:
    """Whether a middleware may trace a request.

    *own* is the middleware's argument ``enabled``. False is final. True counts until the first decision. None, if it
    was not given, is off until then.
    """
    # No call: each request pays for it.
    if own is False or not settings.enabled or settings.trace_wsgi is False:
        return False
    return bool(own) if _last.wsgi is None else _last.wsgi


def wsgi_keys(own: Sequence[str]) -> Sequence[str]:
    """The keys that count in a middleware; *own* are the keys of its own configuration."""
    return own if _last.wsgi_keys is None else _last.wsgi_keys


def statements(origin: Origin | None = None) -> bool:
    """Whether SQL statements of instrumented engines are trace points: in the trace of *origin*, or else in all."""
    return _last.statements or (origin is not None and shows(origin, SQL, current()))


def arguments(origin: Origin, settings: Settings) -> str:
    """How much of arguments and results trace points keep in the trace of *origin*: see ``trace_arguments``."""
    return "full" if shows(origin, ARGUMENTS, settings) else settings.trace_arguments


def shows(origin: Origin, name: str, settings: Settings) -> bool:
    """Whether the request of *origin* has asked to show *name*, and this service lets it."""
    return name in origin.asked and name in settings.on_request


def engines(settings: Settings) -> bool:
    """Whether a new engine is instrumented.

    Also true if the configuration or the policy has turned statements off: they may turn them on later.
    """
    return _last.statements or settings.trace_sqlalchemy is False


def means_on(enabled: bool | str) -> bool:
    """What the argument ``enabled`` of a middleware means, which may be text of a paste file."""
    return enabled.strip().lower() not in _OFF if isinstance(enabled, str) else bool(enabled)


# The decisions


def decide_wsgi(on: bool) -> None:
    """Turn every middleware of this process on or off."""
    _last.wsgi = on


def decide_wsgi_keys(keys: Sequence[str] | None) -> None:
    """Use *keys* in every middleware of this process. None: each middleware uses its own keys."""
    _last.wsgi_keys = keys


def decide_statements(on: bool) -> None:
    """Trace the statements of instrumented engines, or stop it."""
    _last.statements = on


def follow(before: Settings, after: Settings, keys_changed: bool) -> None:
    """Decide as the configuration and the policy say: their settings have changed from *before* to *after*.

    Before *keys_changed*, an empty list of keys means that each middleware uses its own keys.
    """
    decide_wsgi(after.enabled)
    if after.enabled:
        decide_wsgi_keys(after.hmac_keys if after.hmac_keys or keys_changed else None)
    if after.trace_sqlalchemy != before.trace_sqlalchemy:
        decide_statements(after.trace_sqlalchemy is not False)
