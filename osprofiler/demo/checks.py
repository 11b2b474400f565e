# SPDX-License-Identifier: Apache-2.0
"""Checks before the first process starts: a missing server is reported in one line, not by a time-out."""

from __future__ import annotations

import socket
import warnings

import sqlalchemy
from oslo_config import cfg

from osprofiler.connection import strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.demo import database, outcome
from osprofiler.demo.cloud import DemoError
from osprofiler.drivers import base

_DIAL_S = 5


def check_store(store: str) -> None:
    """Raise ValueError if the connection string is invalid, DemoError if no collector answers."""
    base.get_driver(store)
    if not outcome.is_jaeger(store) or store.startswith("jaeger:"):
        return
    _, host, port = strings.split(store, 14268)
    if fault := _dial(host, port):
        raise DemoError(
            f"no Jaeger collector answers at {host}:{port} ({fault}): start it, or give another --connection-string"
        )


def check_bus(transport_url: str) -> None:
    """Raise ValueError if the transport URL is invalid, DemoError if no broker answers."""
    with warnings.catch_warnings():
        # It loads oslo.service, which prints a long deprecation warning if eventlet is installed.
        warnings.simplefilter("ignore")
        import oslo_messaging
    try:
        parsed = oslo_messaging.TransportURL.parse(cfg.CONF, transport_url)
    except (oslo_messaging.InvalidTransportURL, ValueError) as fault:
        raise ValueError(f"not a transport URL: {fault_line(fault, transport_url)}") from None
    if parsed.transport == "fake":
        return
    faults = [
        (f"{host.hostname}:{host.port or 5672}", _dial(host.hostname, host.port or 5672)) for host in parsed.hosts
    ]
    if not faults:
        raise ValueError("no host in the transport URL; it has the form rabbit://USER:PASSWORD@HOST:5672/")
    if all(fault for _, fault in faults):
        raise DemoError(
            "; ".join(f"no message broker answers at {where} ({fault})" for where, fault in faults)
            + ": start it, or give another --transport-url"
        )


def _dial(host: str, port: int) -> str:
    """Try a TCP connection to *host*. Returns the error, or "" on success."""
    try:
        socket.create_connection((host, port), timeout=_DIAL_S).close()
    except OSError as fault:
        return fault.strerror or str(fault)
    return ""


def create_tables(db_url: str, broken: bool) -> None:
    """Make the database's tables. Raises ValueError if the URL is invalid, DemoError if the database does not work."""
    try:
        database.create(db_url, broken)
    except sqlalchemy.exc.ArgumentError as fault:
        raise ValueError(f"not a database URL: {fault_line(fault, db_url)}") from None
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as fault:
        raise DemoError(f"no database at {masked(db_url)}: {fault_line(fault, db_url)}") from None
