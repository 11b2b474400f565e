# SPDX-License-Identifier: Apache-2.0
"""Make the reporter for a connection string."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from osprofiler.connection import options, strings
from osprofiler.connection.access import Access
from osprofiler.connection.secrets import malformed, masked
from osprofiler.delivery import exits, jaeger_http, jaeger_udp, otlp
from osprofiler.delivery.base import Reporter
from osprofiler.delivery.exporter import Exporter
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers import locate
from osprofiler.drivers.exporter import StoreExporter

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver


def reporter_for(
    connection_string: str,
    *,
    project: str | None = None,
    service: str | None = None,
    host: str | None = None,
    conf: Any = None,
    **kwargs: Any,
) -> Reporter:
    """Make the reporter for *connection_string*, without connecting. *kwargs* go to the driver of a store.

    Raises ValueError if the string is malformed or has an unknown scheme, and CommandError if a library is missing. The
    text of both is one line without secrets.
    """
    tags = {"project": project, "service": service, "host": host}
    arguments = {**tags, **kwargs}
    if conf is not None:
        arguments["conf"] = conf  # without it the driver uses its own default
    notation = locate.notation(connection_string)
    driver = locate.checked_class(notation)
    exporter = span_exporter(notation) or _store(driver, notation, arguments)
    exits.install()
    return QueueReporter(
        exporter,
        service=service_name(project, service, conf, connection_string),
        tags={**{key: value for key, value in tags.items() if value}, **_process_tags(conf)},
    )


def span_exporter(connection_string: str) -> Exporter | None:
    """Make the exporter for a transport of whole spans. None if *connection_string* is that of a store of records.

    Raises ValueError like :func:`reporter_for`.
    """
    make = _SPAN_TRANSPORTS.get(strings.scheme(connection_string))
    return None if make is None else make(connection_string)


def access(connection_string: str) -> Access:
    """How to access a transport of whole spans, and Jaeger's query service on the same host.

    Raises ValueError like :func:`reporter_for`, also for unknown options.
    """
    scheme = strings.scheme(connection_string)
    uses_tls = options.uses_tls(scheme)
    values = strings.options(connection_string, *options.names(scheme))
    over_tls = uses_tls or values.get("query", "").startswith("https:")
    if scheme in options.OTLP.names:
        values = otlp.with_configured_files(values, over_tls=uses_tls)
    return Access.of(connection_string, values, over_tls=over_tls)


def service_name(
    project: str | None, service: str | None, conf: Any = None, connection_string: str = "jaeger://"
) -> str:
    """The name of the service in Jaeger or over OTLP: ``<prefix->project-service``, without the parts that are None."""
    group = "profiler_otlp" if strings.scheme(connection_string) in options.OTLP.names else "profiler_jaeger"
    prefix = getattr(_options(conf, group), "service_name_prefix", None)
    return "-".join(str(part) for part in (prefix, project, service) if part) or "osprofiler"


def _options(conf: Any, group: str) -> Any:
    try:
        return getattr(conf, group)
    except AttributeError:  # no configuration, or one without this group
        return None


def _process_tags(conf: Any) -> Mapping[str, Any]:
    return dict(getattr(_options(conf, "profiler_jaeger"), "process_tags", None) or {})


def _jaeger_udp(connection_string: str) -> Exporter:
    parts, host, port = strings.split(connection_string, jaeger_udp.PORT)
    if parts.path.strip("/") or "@" in parts.netloc:
        raise malformed(connection_string, "jaeger://host[:port] has no path and no user")
    access(connection_string)
    return jaeger_udp.UdpExporter(host, port)


def _jaeger_http(connection_string: str) -> Exporter:
    return jaeger_http.HttpExporter(*_base(connection_string, jaeger_http.PORT), access(connection_string))


def _otlp(connection_string: str) -> Exporter:
    return otlp.OtlpExporter(*_base(connection_string, otlp.PORT), access(connection_string))


def _base(connection_string: str, default_port: int) -> tuple[str, str]:
    """The base URL of an HTTP transport, and the part of the string that messages may show."""
    parts, host, port = strings.split(connection_string, default_port)
    place = strings.place(host, port) + parts.path.rstrip("/")
    account, at, _ = parts.netloc.rpartition("@")
    # requests wants user and password percent-encoded; in the connection string they may not be.
    user, colon, password = (_encoded(part) for part in account.partition(":"))
    return (
        f"{options.http_scheme(parts.scheme)}://{user}{':' if colon else ''}{password}{at}{place}",
        f"{parts.scheme}://{place}",
    )


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="")


#: What makes the exporter of each transport of whole spans, by scheme.
_SPAN_TRANSPORTS: dict[str, Callable[[str], Exporter]] = {
    **dict.fromkeys(options.JAEGER_UDP.names, _jaeger_udp),
    **dict.fromkeys(options.JAEGER_HTTP.names, _jaeger_http),
    **dict.fromkeys(options.OTLP.names, _otlp),
}


def _store(driver: type[Driver], connection_string: str, arguments: Mapping[str, Any]) -> Exporter:
    from osprofiler.drivers import base

    settled = locate.settled(connection_string)

    def make() -> Driver:  # not a functools.partial: its repr would show the string
        return base.get_driver(settled, **arguments)

    return StoreExporter(
        make,
        masked(connection_string),
        connection_string=connection_string,
        labels={"project": arguments["project"], "service": arguments["service"]},
        blocking=driver.blocks(connection_string),
        max_span_chars=driver.max_span_chars,
    )
