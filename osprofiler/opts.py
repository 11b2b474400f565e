# SPDX-License-Identifier: Apache-2.0
"""The configuration options: groups ``profiler``, ``profiler_jaeger`` and ``profiler_otlp``."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from osprofiler import web
from osprofiler.config import switches
from osprofiler.config.row import Row, rows
from osprofiler.config.table import Settings

__all__ = [
    "disable_web_trace",
    "enable_web_trace",
    "is_db_trace_enabled",
    "is_trace_enabled",
    "list_opts",
    "set_defaults",
]

_profiler_opt_group = cfg.OptGroup(
    "profiler",
    title="Tracing of requests across services",
    help="Shows where a request spends its time, in this service and in the services that it calls.",
)
_jaegerprofiler_opt_group = cfg.OptGroup("profiler_jaeger", title="How this service appears in Jaeger")
_otlp_profiler_opt_group = cfg.OptGroup("profiler_otlp", title="How this service appears over OTLP")


def options(group: str, table: type = Settings) -> list[cfg.Opt]:
    """The options of *group* in *table*, a table of settings."""
    return [_option(row) for row in rows(table).values() if row.group == group and row.kind.option is not None]


def _option(row: Row[Any]) -> cfg.Opt:
    option_class: type[cfg.Opt] = getattr(cfg, str(row.kind.option))
    return option_class(
        row.name,
        default=row.default,
        secret=row.secret,
        mutable=row.mutable,
        deprecated_name=row.deprecated_name,
        help=row.help,
        **row.kind.arguments,
    )


_PROFILER_OPTS = options("profiler")
_JAEGER_OPTS = options("profiler_jaeger")
_OTLP_OPTS = options("profiler_otlp")

_GROUPS = (
    (_profiler_opt_group, _PROFILER_OPTS),
    (_jaegerprofiler_opt_group, _JAEGER_OPTS),
    (_otlp_profiler_opt_group, _OTLP_OPTS),
)


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options with *conf*. A second call does nothing."""
    for group, options in _GROUPS:
        # A new group for each: two configurations that register the same OptGroup share its values.
        conf.register_opts(options, group=cfg.OptGroup(group.name, title=group.title, help=group.help))


register(cfg.CONF)


def set_defaults(
    conf: cfg.ConfigOpts,
    enabled: bool | None = None,
    trace_sqlalchemy: bool | None = None,
    hmac_keys: str | None = None,
    connection_string: str | None = None,
    es_doc_type: str | None = None,
    es_scroll_time: str | None = None,
    es_scroll_size: int | None = None,
    socket_timeout: float | None = None,
    sentinel_service_name: str | None = None,
) -> None:
    """Register the options with *conf*. Each argument that is not None is the new default of its option."""
    register(conf)
    defaults: dict[str, Any] = {
        "enabled": enabled,
        "trace_sqlalchemy": trace_sqlalchemy,
        "hmac_keys": hmac_keys,
        "connection_string": connection_string,
        "es_doc_type": es_doc_type,
        "es_scroll_time": es_scroll_time,
        "es_scroll_size": es_scroll_size,
        "socket_timeout": socket_timeout,
        "sentinel_service_name": sentinel_service_name,
    }
    for name, value in defaults.items():
        if value is not None:
            conf.set_default(name, value, group=_profiler_opt_group.name)


def is_trace_enabled(conf: cfg.ConfigOpts | None = None) -> bool:
    """Whether *conf* (the global one if None) lets this service be traced."""
    return switches.service(cfg.CONF if conf is None else conf)


def is_db_trace_enabled(conf: cfg.ConfigOpts | None = None) -> bool:
    """Whether *conf* (the global one if None) lets SQL statements be traced."""
    return switches.service_statements(cfg.CONF if conf is None else conf)


def enable_web_trace(conf: cfg.ConfigOpts | None = None) -> None:
    """Turn the WSGI middleware on with the keys of *conf*, if *conf* lets this service be traced."""
    if is_trace_enabled(conf):
        web.enable((cfg.CONF if conf is None else conf).profiler.hmac_keys)


def disable_web_trace(conf: cfg.ConfigOpts | None = None) -> None:
    """Turn the WSGI middleware off, if *conf* lets this service be traced."""
    if is_trace_enabled(conf):
        web.disable()


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options by group, for oslo.config's generator of sample files."""
    return [(group.name, options) for group, options in _GROUPS]
