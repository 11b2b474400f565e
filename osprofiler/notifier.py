# SPDX-License-Identifier: Apache-2.0
"""The notifier: a callable that takes each record and sends it to its destination.

:func:`create` makes a notifier for a store: its records go through the process's queue and reporter. :func:`set` also
takes any other callable. It is called at once, in the caller's flow. Its faults do not reach the service.
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
    """Take a record and discard it."""


class StoreNotifier:
    """A notifier for one store and one service. It puts each record into the queue."""

    def __init__(self, reporter: Reporter, service_name: str) -> None:
        self.reporter = reporter
        self.service_name = service_name

    def __call__(self, info: dict[str, Any], context: Any = None) -> None:
        with guard.Harmless("notifier"):
            self.reporter.report_record(info)


_notifier: Callable[..., Any] = _noop_notifier
_cache: dict[tuple[str, ...], Callable[..., Any]] = {}


def notify(info: dict[str, Any]) -> None:
    """Give a record that service code has made to the current notifier."""
    with guard.Harmless("notifier"):
        _notifier(info)


def get() -> Callable[..., Any]:
    """The current notifier."""
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
    """Return a notifier for the store of *connection_string*: always the same one for the same store and service.

    *args* and *kwargs* go to the driver: ``project``, ``service``, ``host``, ``conf``, ``context`` and the driver's
    own. If the connection string cannot be used, the error is logged, and the notifier discards its records.
    """
    if args and isinstance(args[0], ModuleType):
        # The arguments of osprofiler 1, which trove still uses: oslo_messaging, a context and a transport come first.
        args = args[3:]
    arguments = {**dict(zip(("project", "service", "host"), args, strict=False)), **kwargs}
    # As text, since older services may pass values of any type here.
    key = (str(connection_string), *(str(arguments.get(name)) for name in ("project", "service", "host")))
    if key not in _cache:
        _cache[key] = _create(connection_string, arguments)
    return _cache[key]


def _create(connection_string: str, arguments: dict[str, Any]) -> Callable[..., Any]:
    from osprofiler.drivers import connect

    try:
        reporter = connect.reporter_for(connection_string, **arguments)
        service_name = connect.service_name(arguments.get("project"), arguments.get("service"), arguments.get("conf"))
        notifier = StoreNotifier(reporter, service_name)
    except Exception as fault:
        guard.count("fault.connect")
        LOG.error("osprofiler is off: %s", fault_line(fault, str(connection_string), max_chars=1000))
        return _noop_notifier
    LOG.info("osprofiler is on; traces go to %s", masked(connection_string))
    return notifier


def clear_notifier_cache() -> None:
    """Forget the notifiers that :func:`create` has made. Its next call makes a new one."""
    _cache.clear()
