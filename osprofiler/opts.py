# SPDX-License-Identifier: Apache-2.0
"""The configuration options: groups ``profiler``, ``profiler_jaeger`` and ``profiler_otlp``."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from osprofiler import web
from osprofiler.config.policy import ARGUMENTS

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

_PROFILER_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enabled",
        default=False,
        mutable=True,
        deprecated_name="profiler_enabled",
        help="Whether this service can be traced. A service started with true follows this option without a restart; "
        "one started with false has nothing decorated, so turning it on needs a restart.",
    ),
    cfg.BoolOpt(
        "trace_sqlalchemy",
        default=False,
        mutable=True,
        help="Whether each SQL statement becomes a trace point.",
    ),
    cfg.BoolOpt(
        "trace_requests",
        default=False,
        mutable=True,
        help="Whether each HTTP request that the service sends with python-requests becomes a trace point.",
    ),
    cfg.StrOpt(
        "trace_arguments",
        default="full",
        choices=ARGUMENTS,
        mutable=True,
        help="What the trace points of functions keep of arguments, and of results where these are asked for: full "
        "(their repr, which is called in the traced call: one that hangs makes the call hang), types (the names of "
        "their types; no code of theirs runs), or none.",
    ),
    cfg.BoolOpt(
        "mask_secrets",
        default=True,
        mutable=True,
        help="Whether passwords, tokens and the like, by their names and looks, leave this process as ***.",
    ),
    cfg.ListOpt(
        "mask_names",
        default=[],
        mutable=True,
        help="Further names whose values are secrets: whatever holds one of them in its own name, in any case.",
    ),
    cfg.MultiStrOpt(
        "mask_patterns",
        default=[],
        mutable=True,
        help="A regular expression of Python; what it matches in a text is a secret. May be given several times.",
    ),
    cfg.StrOpt(
        "hmac_keys",
        default="SECRET_KEY",
        secret=True,
        mutable=True,
        help="Comma-separated secret keys. A request is traced if its trace headers are signed with one of them, so "
        "that only those who know a key can have requests traced. Services that are to appear in one trace share at "
        "least one key; the first signs what a sampler started.",
    ),
    cfg.StrOpt(
        "connection_string",
        default="messaging://",
        secret=True,
        help="Where traces go: jaeger://HOST[:6831] (UDP), jaeger+http://HOST[:14268], otlp://HOST:4318, "
        "redis://HOST:6379, rediss://, redissentinel://, mongodb://HOST:27017, elasticsearch://HOST:9200, "
        "loginsight://USER:PASSWORD@HOST, messaging:// (oslo.messaging notifications), or any SQLAlchemy URL, e.g. "
        "sqlite:////var/lib/osprofiler/traces.db.",
    ),
    cfg.StrOpt("es_doc_type", default="notification", help="Document type of records in Elasticsearch before 7."),
    cfg.StrOpt(
        "es_scroll_time",
        default="2m",
        help="How long Elasticsearch keeps the state of one read of a trace, e.g. 2m.",
    ),
    cfg.IntOpt("es_scroll_size", default=10000, help="How many records Elasticsearch returns at a time."),
    cfg.FloatOpt("socket_timeout", default=0.1, help="Time-out of connections to Redis Sentinel, in seconds."),
    cfg.StrOpt(
        "sentinel_service_name",
        default="mymaster",
        help="The name under which Redis Sentinel knows the master.",
    ),
    cfg.BoolOpt(
        "filter_error_trace",
        default=False,
        help="Whether stores that can keep a separate list of the traces that hold an error.",
    ),
    cfg.BoolOpt(
        "trust_incoming",
        default=False,
        mutable=True,
        help="Whether to continue a trace whose context comes unsigned (uber-trace-id, traceparent, b3), with its "
        "sampling decision. Only for services that nobody but trusted callers can reach.",
    ),
    cfg.ListOpt(
        "propagation",
        default=["osprofiler", "jaeger", "w3c"],
        mutable=True,
        help="Formats in which outgoing requests carry the trace: osprofiler (signed), jaeger (uber-trace-id), w3c "
        "(traceparent), b3. All of them are read.",
    ),
    cfg.BoolOpt(
        "rpc_plain_peers",
        default=False,
        mutable=True,
        help="Whether RPC messages also carry the trace for peers that still run osprofiler 4 or older. For the time "
        "of a rolling upgrade only: what those peers understand holds the secret key.",
    ),
    cfg.StrOpt(
        "sampler",
        default="",
        mutable=True,
        help="Which requests to trace though nobody asked: const:1 (all), probabilistic:0.001, ratelimiting:2 (a "
        "second), or remote:http://HOST:5778/sampling (as Jaeger says). Empty: none.",
    ),
    cfg.StrOpt(
        "policy_file",
        default="",
        mutable=True,
        help="A YAML file, the same for all services, that says what is sampled and switched on for which of them. "
        "It goes before the options here, and is followed as it changes. Empty: none.",
    ),
    cfg.ListOpt(
        "instrument",
        default=[],
        help="Libraries to instrument at start, beside those that have an option of their own: messaging (a client "
        "and a server span for each RPC), and the ways in which work is handed over, so that it stays in its "
        "request's trace: threading, futures, futurist, eventlet, gevent, asyncio, multiprocessing, subprocess, "
        "oslo_concurrency, oslo_service, openstacksdk.",
    ),
    cfg.StrOpt(
        "scope_manager",
        default="",
        help="The opentracing.ScopeManager that keeps the current span, as module:Class. Empty: osprofiler's own, "
        "which is right for threads, greenthreads and asyncio at once.",
    ),
    cfg.IntOpt(
        "queue_spans",
        default=100_000,
        min=1,
        help="How many spans may wait for delivery; more are dropped. In a store of records, a span's start and its "
        "end are counted one by one.",
    ),
    cfg.IntOpt(
        "queue_bytes",
        default=64 << 20,
        min=1,
        help="How many bytes of spans may wait for delivery; more are dropped.",
    ),
    cfg.FloatOpt(
        "flush_interval",
        default=1.0,
        min=0.01,
        help="Seconds between deliveries. What a killed process loses is at most what this time collected.",
    ),
    cfg.FloatOpt(
        "flush_timeout",
        default=5.0,
        min=0,
        help="Seconds that a stopping service waits for its last spans to be delivered.",
    ),
]

_jaegerprofiler_opt_group = cfg.OptGroup("profiler_jaeger", title="How this service appears in Jaeger")

_JAEGER_OPTS: list[cfg.Opt] = [
    cfg.StrOpt("service_name_prefix", help="Prefix of the service's name in Jaeger: PREFIX-PROJECT-SERVICE."),
    cfg.DictOpt("process_tags", default={}, help="Tags of the process in Jaeger, e.g. region:one,rack:12."),
]

_otlp_profiler_opt_group = cfg.OptGroup("profiler_otlp", title="How this service appears over OTLP")

_OTLP_OPTS: list[cfg.Opt] = [
    cfg.StrOpt("service_name_prefix", help="Prefix of service.name over OTLP: PREFIX-PROJECT-SERVICE."),
]

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
