# SPDX-License-Identifier: Apache-2.0
"""The kind of SQLAlchemy's errors, for a batch, by the error codes of the databases. It loads SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import exc

from osprofiler.drivers import errors

#: SQLSTATE. Classes: no connection, not authorized, transaction rolled back, no resources (disk full), wrong state
#: (locked), stopped by an operator, system error. Codes: read-only transaction, no privilege.
_SQLSTATE = ("08", "28", "40", "53", "55", "57", "58", "25006", "42501")

#: MySQL: access denied, too many connections, disk or table full, server stops, lock not available, not in the cluster,
#: read-only, connection lost.
_MYSQL = frozenset(
    (*(1021, 1040, 1044, 1045, 1047, 1053, 1114, 1142, 1143, 1205, 1213, 1290, 1836), *(2002, 2003, 2006, 2013))
)

#: MySQL and MariaDB: not in this character set, too long, violates a constraint. Libraries use different classes.
_MYSQL_REFUSED = frozenset((1366, 1406, 3819, 4025))

#: SQLite: no permission, busy, locked, read-only, input or output failed, full, cannot be opened, not authorized.
_SQLITE = frozenset((3, 5, 6, 8, 10, 13, 14, 23))


def kind_of(error: Exception) -> errors.Kind:
    """The kind of *error*, an error of SQLAlchemy."""
    own = getattr(error, "orig", None)  # the error of the database's library
    if isinstance(error, (exc.DataError, exc.IntegrityError)) or not _MYSQL_REFUSED.isdisjoint(_numbers(own)):
        return errors.RecordsRefused
    if isinstance(error, (exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError)) or _is_unavailable(error, own):
        return errors.StoreUnavailable
    could_not_bind = isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError)
    return errors.kind_of(own if could_not_bind and isinstance(own, Exception) else error)


def _is_unavailable(error: Exception, own: BaseException | None) -> bool:
    if getattr(error, "connection_invalidated", False):
        return True
    if isinstance(error, exc.OperationalError) and error.statement is None:
        return True  # without a statement, there was no connection
    state = getattr(own, "sqlstate", None) or getattr(own, "pgcode", None)  # psycopg, psycopg2
    code = getattr(own, "sqlite_errorcode", None)  # since Python 3.11; extended codes have the code in the low byte
    return (
        (isinstance(state, str) and state.startswith(_SQLSTATE))
        or (code is not None and code & 0xFF in _SQLITE)
        or not _MYSQL.isdisjoint(_numbers(own))
    )


def _numbers(own: BaseException | None) -> list[int]:
    return [arg for arg in getattr(own, "args", ()) if isinstance(arg, int)]
