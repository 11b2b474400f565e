# SPDX-License-Identifier: Apache-2.0
"""The configuration options: groups ``profiler``, ``profiler_jaeger`` and ``profiler_otlp``."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from osprofiler import web
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
    help="Where a request spends its time, in this service and in those that it calls.",
)
_jaegerprofiler_opt_group = cfg.OptGroup("profiler_jaeger", title="How this service appears in Jaeger")
_otlp_profiler_opt_group = cfg.OptGroup("profiler_otlp", title="How this service appears over OTLP")


def options(group: str, table: type = Settings) -> list[cfg.Opt]:
    """The options of *group* that *table* has."""
    return [_option(each) for each in rows(table).values() if each.group == group and each.kind.option is not None]


def _option(each: Row[Any]) -> cfg.Opt:
    of_kind: type[cfg.Opt] = getattr(cfg, str(each.kind.option))
    return of_kind(
        each.name,
        default=each.default,
        secret=each.secret,
        mutable=each.mutable,
        deprecated_name=each.deprecated_name,
        help=each.help,
        **each.kind.arguments,
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
    """Make the options known to *conf*; a second call changes nothing."""
    for group, options in _GROUPS:
        # A group of its own: configurations that register one OptGroup share its values.
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
    """Register the options with *conf* and give those that are not None a new default."""
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
    return bool((cfg.CONF if conf is None else conf).profiler.enabled)


def is_db_trace_enabled(conf: cfg.ConfigOpts | None = None) -> bool:
    """Whether *conf* (the global one if None) has SQL statements traced."""
    group = (cfg.CONF if conf is None else conf).profiler
    return bool(group.enabled and group.trace_sqlalchemy)


def enable_web_trace(conf: cfg.ConfigOpts | None = None) -> None:
    """Turn the WSGI middleware on with *conf*'s keys, if *conf* lets this service be traced."""
    group = (cfg.CONF if conf is None else conf).profiler
    if group.enabled:
        web.enable(group.hmac_keys)


def disable_web_trace(conf: cfg.ConfigOpts | None = None) -> None:
    """Turn the WSGI middleware off, if *conf* lets this service be traced."""
    if (cfg.CONF if conf is None else conf).profiler.enabled:
        web.disable()


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options by group, for oslo.config's generator of sample files."""
    return [(group.name, options) for group, options in _GROUPS]
