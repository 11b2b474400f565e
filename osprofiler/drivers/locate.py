# SPDX-License-Identifier: Apache-2.0
"""Find the driver class of a connection string, and import only that driver; and the default connection string."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from osprofiler import exc
from osprofiler._runtime import entry_points
from osprofiler._runtime.state_folder import state_folder
from osprofiler.connection import options, strings
from osprofiler.connection.secrets import cut, malformed, masked

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver

_SCHEME = re.compile(r"[a-z][a-z0-9_+.-]*")


def default_connection_string() -> str:
    """The embedded store: a SQLite file, ``$XDG_STATE_HOME/osprofiler/traces.db``.

    Creates its folder, which only the owner can read. Raises CommandError if that is not possible.
    """
    try:
        folder = state_folder()
    except (OSError, RuntimeError) as fault:  # RuntimeError: this user has no home
        raise exc.CommandError(
            f"the embedded store cannot be used, name another one with --connection-string: {fault}"
        ) from fault
    return f"sqlite:///{folder / 'traces.db'}"


def notation(connection_string: str) -> str:
    """The string with ``://``, which may be left out if nothing follows it (``messaging``)."""
    return f"{connection_string}://" if _SCHEME.fullmatch(connection_string.lower()) else connection_string


def settled(connection_string: str) -> str:
    """The string with an absolute path of a SQLite file: a daemon changes its working directory."""
    path = sqlite_path(connection_string)
    if not path:
        return connection_string
    head, slashes, rest = connection_string.partition(":///")
    return f"{head}{slashes}{os.path.abspath(path)}{rest[len(path) :]}"


def sqlite_path(connection_string: str) -> str:
    """The path of the file of an SQLite store; empty for a URI, for a store in memory, and for other stores."""
    head, _, rest = connection_string.partition(":///")
    path = rest.partition("?")[0]
    return path if head.startswith("sqlite") and not path.startswith((":", "file:")) else ""


def driver_class(connection_string: str) -> type[Driver]:
    """The class for the string's scheme: built in, of an entry point, an imported subclass of Driver, or SQLAlchemy's.

    Raises ValueError with one line without the password.
    """
    scheme = strings.scheme(connection_string)
    if not _SCHEME.fullmatch(scheme):
        raise malformed(
            connection_string, "it has the form scheme://..., for instance sqlite:////var/lib/osprofiler/traces.db"
        )
    driver = _built_in(scheme) or _registered(scheme) or _subclass(scheme) or _sql_dialect(scheme)
    if driver is None:
        known = ", ".join(sorted({*options.BY_NAME, *entry_points.names(entry_points.DRIVERS)}))
        raise ValueError(f"no driver for {masked(connection_string)!r}; known schemes: {known}")
    return driver


def checked_class(connection_string: str) -> type[Driver]:
    """The class for the string's scheme, after its ``check`` of the string. Does not connect.

    A service and the command line call it before they use a store. Raises ValueError if the string is malformed or has
    unknown options, and CommandError if a library is missing. The text of both is one line without secrets.
    """
    with without_secrets(connection_string):
        driver = driver_class(connection_string)
        # It also imports the store's client. The reporter's thread must not: a process that is forked meanwhile would
        # wait for ever for the import lock.
        try:
            driver.check(connection_string)
        except ValueError:
            if not _has_a_scheme_of_its_own(driver):
                raise
        return driver


@contextmanager
def without_secrets(connection_string: str) -> Iterator[None]:
    """Cut the string's secrets from the errors that the block raises for the string."""
    try:
        yield
    except (ValueError, exc.CommandError) as fault:
        text = cut(str(fault), connection_string)
        if text == str(fault):
            raise
        kind = exc.CommandError if isinstance(fault, exc.CommandError) else ValueError
        raise kind(text) from None  # the text of the cause may have the secrets


def _has_a_scheme_of_its_own(driver: type) -> bool:
    """Whether *driver* is another package's subclass of one of our drivers, with its own scheme.

    Then our ``check`` does not know its strings.
    """
    for kind in driver.__mro__:
        own = vars(kind)
        if "check" in own or "connection_options" in own or kind.__module__.startswith("osprofiler.drivers."):
            return False
        if "get_name" in own:
            return True
    return False


def _built_in(scheme: str) -> type[Driver] | None:
    row = options.BY_NAME.get(scheme)
    if row is None and scheme.partition("+")[0] in options.SQL.names:
        row = options.SQL
    if row is None:
        return None
    module, _, name = row.driver.partition(":")
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
    """The way of osprofiler 4: every imported subclass of Driver counts."""
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
    """The SQL driver, if SQLAlchemy has a dialect of this name. Other distributions can add dialects."""
    try:
        from sqlalchemy.dialects import registry
        from sqlalchemy.exc import NoSuchModuleError
    except ImportError:
        return None
    try:
        registry.load(scheme.replace("+", "."))
    except NoSuchModuleError:
        return None
    return _built_in(options.SQL.names[0])
