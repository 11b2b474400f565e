# SPDX-License-Identifier: Apache-2.0
"""The cloud's database: servers, and the memory allocated for them on hosts."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Column, Integer, MetaData, String, Table

from osprofiler import sqlalchemy as tracing

_METADATA = MetaData()

_SERVERS = Table(
    "demo_servers",
    _METADATA,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("host", String(64)),
)

_ALLOCATIONS = Table(
    "demo_allocations",
    _METADATA,
    Column("server_id", String(36), primary_key=True),
    Column("host", String(64), nullable=False),
    Column("memory_mb", Integer, nullable=False),
)


def _engine(url: str) -> sqlalchemy.Engine:
    # The services write to the same SQLite file, which has one writer at a time: the others must wait.
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return sqlalchemy.create_engine(url, **wait)


def create(url: str, broken: bool) -> None:
    """Make the tables; with *broken* without the table of allocations, as after a forgotten migration.

    Raises sqlalchemy.exc.SQLAlchemyError if the database does not exist.
    """
    engine = _engine(url)
    _METADATA.drop_all(engine)
    _METADATA.create_all(engine, tables=[_SERVERS] if broken else None)
    engine.dispose()


def remove(url: str) -> None:
    """Remove the tables."""
    engine = _engine(url)
    _METADATA.drop_all(engine)
    engine.dispose()


class Database:
    """The database connections of one service. Each statement is a trace point."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        tracing.add_tracing(sqlalchemy, self._engine, "db")
        with self._engine.connect():
            pass  # connect now: the cost of the first connection must not be part of a request

    def add(self, server_id: str, name: str) -> None:
        self._write(_SERVERS.insert().values(id=server_id, name=name, status="BUILD"))

    def update(self, server_id: str, /, **values: Any) -> None:
        self._write(_SERVERS.update().where(_SERVERS.c.id == server_id).values(**values))

    def claim(self, server_id: str, host: str, memory_mb: int) -> None:
        """Allocate memory of *host* for a server."""
        self._write(_ALLOCATIONS.insert().values(server_id=server_id, host=host, memory_mb=memory_mb))

    def get(self, server_id: str) -> dict[str, Any] | None:
        with self._engine.connect() as connection:
            row = connection.execute(_SERVERS.select().where(_SERVERS.c.id == server_id)).mappings().first()
        return None if row is None else dict(row)

    def close(self) -> None:
        self._engine.dispose()

    def _write(self, statement: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)
