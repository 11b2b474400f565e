# SPDX-License-Identifier: Apache-2.0
"""Where trace points go: the notifier, a callable that takes one record.

A notifier made by :func:`create` stands for a store: its records go through the process's queue and reporter. Any
other callable given to :func:`set` is called at once, in the caller's flow; its faults are swallowed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from osprofiler._runtime import guard
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.tracer import global_tracer

if TYPE_CHECKING:
    from osprofiler.delivery.base import Reporter

LOG = logging.getLogger(__name__)


def _noop_notifier(info: dict[str, Any], context: Any = None) -> None:
    """Take a record and keep nothing."""


class StoreNotifier:
    """A notifier for one store and one service: a record given to it is queued."""

    def __init__(self, reporter: Reporter, service_name: str) -> None:
        self.reporter = reporter
        self.service_name = service_name

    def __call__(self, info: dict[str, Any], context: Any = None) -> None:
        with guard.Harmless("notifier"):
            self.reporter.report_record(info)


_notifier: Callable[..., Any] = _noop_notifier
_cache: dict[tuple[str, ...], Callable[..., Any]] = {}


def notify(info: dict[str, Any]) -> None:
    """Give one record, made by hand, to the notifier in use."""
    with guard.Harmless("notifier"):
        _notifier(info)


def get() -> Callable[..., Any]:
    """The notifier in use."""
    return _notifier


def set(notifier: Callable[..., Any]) -> None:
    """Use *notifier*, a callable that takes one record (a dictionary), for every trace point from now on."""
    global _notifier
    _notifier = notifier
    if isinstance(notifier, StoreNotifier):
        global_tracer.report_to(lambda: notifier.reporter, notifier.service_name)
    else:
        global_tracer.report_to(lambda: _reporter_for(notifier))


def _reporter_for(notifier: Callable[..., Any]) -> Reporter:
    from osprofiler.delivery import base

    return base.NullReporter() if notifier is _noop_notifier else base.CallableReporter(notifier)


def create(connection_string: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """A notifier for the store that *connection_string* names; the same one for the same store and service.

    *args* and *kwargs* are a driver's: ``project``, ``service``, ``host``, ``conf``, ``context`` and what the driver
    takes besides. A connection string that cannot be used is logged, and the notifier returned keeps nothing.
    """
    if args and isinstance(args[0], ModuleType):
        # As osprofiler 1 had it, and trove has it: oslo_messaging, a context and a transport come first.
        args = args[3:]
    named = {**dict(zip(("project", "service", "host"), args, strict=False)), **kwargs}
    # By text: what older services pass in these places may be anything.
    key = (str(connection_string), *(str(named.get(name)) for name in ("project", "service", "host")))
    if key not in _cache:
        _cache[key] = _create(connection_string, named)
    return _cache[key]


def _create(connection_string: str, named: dict[str, Any]) -> Callable[..., Any]:
    from osprofiler.drivers import connect

    try:
        reporter = connect.reporter_for(connection_string, **named)
        service_name = connect.service_name(named.get("project"), named.get("service"), named.get("conf"))
        notifier = StoreNotifier(reporter, service_name)
    except Exception as fault:
        guard.count("fault.connect")
        LOG.error("osprofiler is off: %s", fault_line(fault, str(connection_string), max_chars=1000))
        return _noop_notifier
    LOG.info("osprofiler is on; traces go to %s", masked(connection_string))
    return notifier


def clear_notifier_cache() -> None:
    """Forget the notifiers made by :func:`create`; the next call makes new ones."""
    _cache.clear()
