# SPDX-License-Identifier: Apache-2.0
"""Check the connection string of an SQL database: its library, its file, and its options. It loads SQLAlchemy."""

from __future__ import annotations

import inspect
import operator
import os
import warnings
from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SAWarning

from osprofiler import exc
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked


def checked_url(connection_string: str) -> URL:
    """The string as a URL that this process can use. Raises ValueError or CommandError, one line without password."""
    shown = masked(connection_string)
    try:
        url = make_url(connection_string)
        dialect = url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise malformed(connection_string, "SQLAlchemy does not understand it as the URL of a database") from None
    if "ttl" in url.query:
        raise ValueError(f"an SQL database has no ttl, as in {shown!r}: run `osprofiler trace purge --older-than 7d`")
    if dialect.is_async:
        raise ValueError(f"{shown!r} names an asynchronous database library; name a blocking one")
    try:
        dialect.import_dbapi()
    except ImportError as fault:
        raise exc.CommandError(
            f"{shown!r} needs the Python library {fault.name!r}: install it, or name another one in the URL "
            "(postgresql+psycopg://, mysql+pymysql://)"
        ) from fault
    if url.get_backend_name() == "sqlite":
        url = _with_file(url, shown)
    _check_options(url, connection_string)
    return url


def _check_options(url: URL, connection_string: str) -> None:
    """Raise ValueError for an option that the database's library does not have, if the library can tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # the same is raised below
            engine = create_engine(url)
            _, arguments = engine.dialect.create_connect_args(engine.url)
    except (ArgumentError, TypeError, ValueError) as fault:
        raise malformed(connection_string, fault_line(fault, connection_string)) from None
    for name in _unknown_options(engine, arguments):
        raise malformed(connection_string, f"there is no option {name!r}")


def _unknown_options(engine: Engine, arguments: Mapping[str, Any]) -> list[str]:
    """The options of the engine's URL that its library does not have. *arguments*: those that SQLAlchemy makes of them.

    Empty if the library can only tell when it connects.
    """
    if engine.dialect.name == "sqlite":  # SQLAlchemy leaves unknown options out of the arguments
        return [] if "uri" in arguments else [name for name in engine.url.query if name not in arguments]
    library: Any = engine.dialect.dbapi
    try:
        parameters = inspect.signature(library.connect).parameters
    except (TypeError, ValueError):
        return []
    unknown = [name for name in arguments if name not in parameters]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return unknown
    make = _MAKES_DSN.get(engine.dialect.driver)
    return [] if make is None else [name for name in unknown if not _knows(library, make, name)]


#: The functions that ask libpq whether it knows the options.
_MAKES_DSN = {"psycopg": "conninfo.make_conninfo", "psycopg2": "extensions.make_dsn"}


def _knows(library: Any, make: str, name: str) -> bool:
    try:
        operator.attrgetter(make)(library)(**{name: "1"})
    except library.ProgrammingError:
        return False
    return True


def _with_file(url: URL, shown: str) -> URL:
    name = url.database or ""
    if name in ("", ":memory:") or "mode=memory" in str(url) or "mode" in url.query or name.startswith("file:"):
        raise ValueError(
            f"{shown!r} names no file: a database in memory is invisible to every other process; "
            "give a path, for instance sqlite:////var/lib/osprofiler/traces.db"
        )
    # Absolute: a service that becomes a daemon changes its working directory.
    return url.set(database=os.path.abspath(name))
