# SPDX-License-Identifier: Apache-2.0
"""From a connection string to the class of its driver, importing nothing but that driver; and where traces go without
one."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from osprofiler import exc
from osprofiler._runtime import entry_points
from osprofiler.connection.secrets import cut, malformed, masked

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver

_SQL = "sqlalchemy_driver:SQLAlchemyDriver"

# Module and class in this package to their schemes (without "+driver" for SQL). The dialects that SQLAlchemy has itself
# are here so that finding them costs no look at the installed distributions; others are found by asking SQLAlchemy.
_CLASSES = {
    _SQL: ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"),
    "jaeger:Jaeger": ("jaeger", "jaeger+http", "jaeger+https"),
    "otlp:OTLP": ("otlp", "otlps"),
    "redis_driver:Redis": ("redis", "rediss"),
    "redis_driver:RedisSentinel": ("redissentinel",),
    "mongodb:MongoDB": ("mongodb", "mongodb+srv"),
    "elasticsearch_driver:ElasticsearchDriver": tuple(
        f"{name}{over}" for name in ("elasticsearch", "opensearch") for over in ("", "+http", "+https")
    ),
    "loginsight:LogInsightDriver": ("loginsight",),
    "messaging:Messaging": ("messaging",),
}
_BUILT_IN = {scheme: target for target, schemes in _CLASSES.items() for scheme in schemes}

_SCHEME = re.compile(r"[a-z][a-z0-9_+.-]*")


def default_connection_string() -> str:
    """The embedded store: a SQLite file, ``$XDG_STATE_HOME/osprofiler/traces.db``, in a folder only its owner reads.

    Creates the folder. Raises CommandError where that is not possible.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    try:
        home = Path(named) if os.path.isabs(named) else Path.home() / ".local" / "state"
        folder = home / "osprofiler"
        home.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except (OSError, RuntimeError) as fault:  # the latter where this user has no home
        raise exc.CommandError(
            f"the embedded store cannot be used, name another one with --connection-string: {fault}"
        ) from fault
    return f"sqlite:///{folder / 'traces.db'}"


def notation(connection_string: str) -> str:
    """The string with its ``://``, which may be left out where nothing follows (``messaging``)."""
    return f"{connection_string}://" if _SCHEME.fullmatch(connection_string.lower()) else connection_string


def settled(connection_string: str) -> str:
    """The string in which an SQLite file's relative path is made absolute, since a daemon changes its folder."""
    head, slashes, rest = connection_string.partition(":///")
    path, mark, options = rest.partition("?")
    if not head.startswith("sqlite") or not path or path.startswith((":", "file:")):
        return connection_string
    return f"{head}{slashes}{os.path.abspath(path)}{mark}{options}"


def driver_class(connection_string: str) -> type[Driver]:
    """The class for the string's scheme: built in, of an entry point, any other subclass of Driver, SQLAlchemy's.

    Raises ValueError, whose one line names the scheme and never the password.
    """
    scheme = connection_string.partition("://")[0].lower()
    if not _SCHEME.fullmatch(scheme):
        raise malformed(
            connection_string, "it has the form scheme://..., for instance sqlite:////var/lib/osprofiler/traces.db"
        )
    driver = _built_in(scheme) or _registered(scheme) or _subclass(scheme) or _sql_dialect(scheme)
    if driver is None:
        known = ", ".join(sorted({*_BUILT_IN, *entry_points.names(entry_points.DRIVERS)}))
        raise ValueError(f"no driver for {masked(connection_string)!r}; known schemes are {known}")
    return driver


def checked_class(connection_string: str) -> type[Driver]:
    """The class for the string's scheme, whose own check the string has passed: the one check before a store is used,
    by a service and by the command line. Connects nowhere.

    Raises ValueError for a malformed string and for options that the store does not have, and CommandError where a
    library is missing; in one line, without the string's secrets.
    """
    with without_secrets(connection_string):
        driver = driver_class(connection_string)
        # It also imports the store's client: a process forked while the reporter's thread does waits for it for ever.
        try:
            driver.check(connection_string)
        except ValueError:
            if not _has_a_scheme_of_its_own(driver):
                raise
        return driver


@contextmanager
def without_secrets(connection_string: str) -> Iterator[None]:
    """Within it the faults of a string that cannot be used are raised without the string's secrets."""
    try:
        yield
    except (ValueError, exc.CommandError) as fault:
        text = cut(str(fault), connection_string)
        if text == str(fault):
            raise
        kind = exc.CommandError if isinstance(fault, exc.CommandError) else ValueError
        raise kind(text) from None  # the cause may hold what was cut


def _has_a_scheme_of_its_own(driver: type) -> bool:
    """Whether *driver* is another package's subclass of one of ours, whose ``check`` knows other strings."""
    for kind in driver.__mro__:
        own = vars(kind)
        if "check" in own or "connection_options" in own or kind.__module__.startswith("osprofiler.drivers."):
            return False
        if "get_name" in own:
            return True
    return False


def _built_in(scheme: str) -> type[Driver] | None:
    target = _BUILT_IN.get(scheme)
    if target is None and _BUILT_IN.get(scheme.partition("+")[0]) == _SQL:
        target = _SQL
    if target is None:
        return None
    module, _, name = target.partition(":")
    driver: type[Driver] = getattr(importlib.import_module(f"osprofiler.drivers.{module}"), name)
    return driver


def _registered(scheme: str) -> type[Driver] | None:
    from osprofiler.drivers.driver import Driver

    point = entry_points.find(entry_points.DRIVERS, scheme)
    if point is None:
        return None
    driver = point.load()
    if not (isinstance(driver, type) and issubclass(driver, Driver)):
        raise ValueError(f"{point.value}, registered for {scheme}://, is not a subclass of Driver")
    return driver


def _subclass(scheme: str) -> type[Driver] | None:
    """How drivers of other packages have always been found: they need only be imported."""
    return next((driver for driver in _subclasses() if driver.get_name() == scheme), None)


def _subclasses() -> Iterator[type[Driver]]:
    from osprofiler.drivers.driver import Driver

    waiting: list[type[Driver]] = [Driver]
    seen: set[type[Driver]] = set()
    while waiting:
        for child in waiting.pop(0).__subclasses__():
            if child not in seen:
                seen.add(child)
                waiting.append(child)
                yield child


def _sql_dialect(scheme: str) -> type[Driver] | None:
    """The SQL driver, if SQLAlchemy knows a dialect of this name (dialects are distributions of their own too)."""
    try:
        from sqlalchemy.dialects import registry
        from sqlalchemy.exc import NoSuchModuleError
    except ImportError:
        return None
    try:
        registry.load(scheme.replace("+", "."))
    except NoSuchModuleError:
        return None
    return _built_in("sqlite")
