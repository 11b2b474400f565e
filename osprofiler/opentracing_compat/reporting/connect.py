# SPDX-License-Identifier: Apache-2.0
"""From a connection string to the reporter that delivers there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from osprofiler.drivers import locate
from osprofiler.opentracing_compat.reporting import exits, http, otlp, udp
from osprofiler.opentracing_compat.reporting.base import Reporter
from osprofiler.opentracing_compat.reporting.exporter import Exporter
from osprofiler.opentracing_compat.reporting.reporter import QueueReporter
from osprofiler.opentracing_compat.reporting.store import StoreExporter

masked = locate.masked

#: Clients of SQL databases that are written in Python: they wait on Python's sockets, which eventlet makes green.
_GREEN_CLIENTS = frozenset(("pymysql", "pg8000", "mysqlconnector"))
_SQL = frozenset(("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"))


def reporter_for(
    connection_string: str,
    *,
    project: str | None = None,
    service: str | None = None,
    host: str | None = None,
    conf: Any = None,
    **kwargs: Any,
) -> Reporter:
    """The reporter for *connection_string*; *kwargs* go to a store's driver.

    Nothing is connected here. Raises ValueError, with one line and no password in it, for a string that is malformed
    or names nothing known.
    """
    named = {"project": project, "service": service, "host": host, **kwargs}
    if conf is not None:
        named["conf"] = conf  # drivers have a default of their own
    exporter = span_exporter(connection_string) or _store(connection_string, named)
    tags = {"project": project, "service": service, "host": host}
    exits.install()
    return QueueReporter(
        exporter,
        service=service_name(project, service, conf, connection_string),
        tags={**{key: value for key, value in tags.items() if value}, **_process_tags(conf)},
    )


def span_exporter(connection_string: str) -> Exporter | None:
    """The exporter for a transport that takes whole spans; None where *connection_string* names a store of records.

    Raises ValueError as :func:`reporter_for` does.
    """
    make = _SPAN_TRANSPORTS.get(_scheme(connection_string))
    return None if make is None else make(connection_string)


def service_name(
    project: str | None, service: str | None, conf: Any = None, connection_string: str = "jaeger://"
) -> str:
    """The name in Jaeger, or over OTLP: ``<prefix->project-service``, of what is known."""
    group = "profiler_otlp" if _scheme(connection_string) in _OTLP else "profiler_jaeger"
    prefix = getattr(_options(conf, group), "service_name_prefix", None)
    return "-".join(str(part) for part in (prefix, project, service) if part) or "osprofiler"


def _scheme(connection_string: str) -> str:
    return connection_string.partition("://")[0].lower()


def _options(conf: Any, group: str) -> Any:
    try:
        return getattr(conf, group)
    except AttributeError:  # no configuration, or one without this group
        return None


def _process_tags(conf: Any) -> Mapping[str, Any]:
    return dict(getattr(_options(conf, "profiler_jaeger"), "process_tags", None) or {})


def _jaeger_udp(connection_string: str) -> Exporter:
    parts, host, port = _split(connection_string, udp.PORT)
    if parts.path.strip("/") or parts.username:
        raise ValueError(f"jaeger://host[:port] has no path and no user: {masked(connection_string)!r}")
    return udp.UdpExporter(host, port)


def _jaeger_http(connection_string: str) -> Exporter:
    scheme = _scheme(connection_string)
    base, shown = _base(connection_string, scheme.partition("+")[2], http.PORT)
    return http.HttpExporter(base, f"{scheme}://{shown}")


def _otlp(connection_string: str) -> Exporter:
    scheme = _scheme(connection_string)
    base, shown = _base(connection_string, _OTLP[scheme], otlp.PORT)
    return otlp.OtlpExporter(base, f"{scheme}://{shown}")


def _base(connection_string: str, scheme: str, default_port: int) -> tuple[str, str]:
    """The URL that an HTTP transport begins with; and what of it may be shown, without the scheme."""
    parts, host, port = _split(connection_string, default_port)
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    shown += parts.path.rstrip("/")
    account = parts.netloc.rpartition("@")[0]
    return f"{scheme}://{account}@{shown}" if account else f"{scheme}://{shown}", shown


def _split(connection_string: str, default_port: int) -> tuple[SplitResult, str, int]:
    """The parts; the query is for readers of traces."""
    try:
        parts = urlsplit(connection_string)
        host, port = parts.hostname, parts.port
    except ValueError as fault:  # a port that is no number, or brackets that do not match
        raise ValueError(f"malformed connection string {masked(connection_string)!r}: {fault}") from None
    if not host or port == 0:
        raise ValueError(f"a host is missing, or the port is 0, in {masked(connection_string)!r}")
    return parts, host, default_port if port is None else port


#: OTLP's schemes, and those of the HTTP under it.
_OTLP = {"otlp": "http", "otlps": "https"}

#: Transports that take whole spans, by scheme; every other scheme is a store of records.
_SPAN_TRANSPORTS: dict[str, Callable[[str], Exporter]] = {
    "jaeger": _jaeger_udp,
    "jaeger+http": _jaeger_http,
    "jaeger+https": _jaeger_http,
    "otlp": _otlp,
    "otlps": _otlp,
}


def _store(connection_string: str, named: Mapping[str, Any]) -> Exporter:
    from osprofiler.drivers import base

    notation = connection_string if "://" in connection_string else f"{connection_string}://"
    driver = locate.driver_class(notation)
    # It also imports the store's client: a process forked while the reporter's thread does waits for it for ever.
    check: Callable[[str], None] | None = getattr(driver, "check", None)
    if check is not None:
        try:
            check(notation)
        except ValueError:
            if not _has_a_scheme_of_its_own(driver):
                raise
    return StoreExporter(
        functools.partial(base.get_driver, locate.settled(connection_string), **named),
        masked(connection_string),
        labels={"project": named["project"], "service": named["service"]},
        blocking=getattr(driver, "blocking", _blocks(notation)),
        max_span_chars=getattr(driver, "max_span_chars", None),
    )


def _has_a_scheme_of_its_own(driver: type) -> bool:
    """Whether *driver* is another package's subclass of one of ours, whose ``check`` knows other strings."""
    for kind in driver.__mro__:
        if "check" in vars(kind) or kind.__module__.startswith("osprofiler.drivers."):
            return False
        if "get_name" in vars(kind):
            return True
    return False


def _blocks(connection_string: str) -> bool:
    dialect, _, client = connection_string.partition("://")[0].partition("+")
    return dialect in _SQL and client not in _GREEN_CLIENTS
