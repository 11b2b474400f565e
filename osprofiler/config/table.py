# SPDX-License-Identifier: Apache-2.0
"""The one table of settings. The options, the settings in force, the policy and the documentation are made from it.

A new setting is a row here, and the code that uses it. A row inside :func:`setting` is a field of the settings object.
Any other row is an option that is read once, when the service starts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from osprofiler.config import kinds
from osprofiler.config import trust as trusts
from osprofiler.config.limited_key import DEFAULT_KEY, LimitedKey
from osprofiler.config.row import SAME, Row, setting, settings
from osprofiler.config.rules import Rule

#: What a request can ask for by a name that is not that of its switch.
SQL, ARGUMENTS = "sql", "arguments"


@functools.cache
def asked() -> Mapping[str, str]:
    """The names of what a request can ask for, and the setting of each."""
    return {row.asked_as: name for name, row in settings(Settings).items() if row.asked_as}


#: A row that counts while the service runs, and that a policy can set.
_followed = functools.partial(Row, mutable=True, policy=True)


def _switch(*, default: bool = False, unread: Any = SAME, **about: Any) -> Any:
    """A field that is on or off, by the configuration or the policy, also while the service runs."""
    return setting(_followed(kinds.SWITCH, default=default, **about), unread=unread)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings in force. A process that has read no configuration has the value ``unread`` of each row."""

    enabled: bool = _switch(
        false_once_changed=True,
        deprecated_name="profiler_enabled",
        help="Whether this service can be traced. A service started with true follows this option without a "
        "restart; one started with false has nothing decorated, so turning it on needs a restart.",
        unread=True,
    )
    trace_wsgi: bool | None = _switch(
        default=True,
        help="Whether web requests that the service receives can become trace points: those of the WSGI and ASGI "
        "middleware, and of aiohttp's server. Each of them must still ask for it, or a sampler select it.",
        unread=None,  # as each middleware decides
    )
    trace_sqlalchemy: bool | None = _switch(
        asked_as=SQL,
        false_once_changed=True,
        help="Whether each SQL statement that the service sends with SQLAlchemy becomes a trace point, and each "
        "commit, rollback, new connection and wait for a connection.",
        unread=None,  # the service decides when it starts
    )
    trace_requests: bool = _switch(
        asked_as="requests",
        help="Whether each HTTP request that the service sends becomes a trace point. The libraries are requests, "
        "urllib3, httpx and aiohttp.",
    )
    trace_dbapi: bool = _switch(
        asked_as="dbapi",
        help="Whether each SQL statement, commit and rollback that the service sends without SQLAlchemy becomes a "
        "trace point. The drivers are psycopg, psycopg2, PyMySQL and sqlite3. With trace_sqlalchemy too, a "
        "statement is still one trace point.",
    )
    trace_dogpile: bool = _switch(
        asked_as="dogpile",
        help="Whether each value that the service gets from a region of dogpile.cache, or creates there, becomes a "
        "trace point. oslo.cache uses such regions.",
    )
    trace_grpc: bool = _switch(
        help="Whether both ends of each call of gRPC become trace points. While it is off, calls do not pass the "
        "trace on.",
    )
    trace_keystoneauth: bool = _switch(
        asked_as="keystoneauth",
        help="Whether each call that the service makes with a session of keystoneauth becomes a trace point. The "
        "HTTP requests of the call are inside it if trace_requests is on.",
    )
    trace_locks: bool = _switch(
        asked_as="locks",
        help="Whether each wait for a lock of oslo.concurrency becomes a trace point. A free lock has none.",
    )
    trace_memcached: bool = _switch(
        asked_as="memcached",
        help="Whether each command that the service sends to memcached with pymemcache becomes a trace point.",
    )
    trace_mongodb: bool = _switch(
        asked_as="mongodb",
        help="Whether each command that the service sends to MongoDB with pymongo becomes a trace point.",
    )
    trace_notifications: bool = _switch(
        help="Whether each notification that the service sends or receives with oslo.messaging becomes a trace "
        "point. The message then has the trace, and never the secret key.",
    )
    trace_redis: bool = _switch(
        asked_as="redis",
        help="Whether each command that the service sends with redis-py becomes a trace point.",
    )
    trace_rpc: bool = _switch(
        default=True,
        help="Whether both ends of each RPC become trace points, where messaging is instrumented. While it is off, "
        "messages still pass the trace on.",
    )
    trace_db_api: bool = _switch(
        default=True,
        help="Whether the trace points of kind db_api in profiles are in place: the calls of a database API.",
        link="See `points <points.rst>`_.",
    )
    trace_drivers: bool = _switch(
        default=True,
        help="Whether the trace points of kind drivers in profiles are in place: the calls of drivers, such as "
        "nova's virt driver. Calls of the privileged daemon of oslo.privsep become trace points too.",
        link="See `points <points.rst>`_.",
        unread=False,  # without a configuration there is no profile
    )
    trace_pooling: bool = _switch(
        default=True,
        help="Whether Zaqar's pooling is traced: its look-up of pools, and the trace points of its own code whose "
        "names begin with pooling_.",
        link="See `points <points.rst>`_.",
    )
    trace_arguments: str = setting(
        _followed(
            kinds.choice(*kinds.ARGUMENTS),
            default="full",
            asked_as=ARGUMENTS,
            help="How the trace points of functions keep arguments, and results if these are traced: full (their repr; "
            "it runs in the traced call, so a repr that hangs makes the call hang), types (only the names of their "
            "types; none of their code runs), or none.",
            link="See `What does a traced call render?`_.",
        )
    )
    mask_secrets: bool = _switch(
        default=True,
        help="Whether *** replaces passwords, tokens and other secrets before they leave this process. They are "
        "recognized by their names and forms.",
        link="See `Secrets`_.",
    )
    mask_names: tuple[str, ...] = setting(
        Row(
            kinds.NAMES,
            default=[],
            mutable=True,
            help="More names of secrets. A value is a secret if its name contains one of these, in any case.",
        )
    )
    mask_patterns: tuple[str, ...] = setting(
        Row(
            kinds.PATTERNS,
            default=[],
            mutable=True,
            help="A regular expression of Python for secrets in texts. May be given several times.",
            link="An invalid expression is one ERROR in the log, and is not used.",
        )
    )
    hmac_keys: tuple[str, ...] = setting(
        Row(
            kinds.KEYS,
            default=DEFAULT_KEY,
            secret=True,
            mutable=True,
            help="Comma-separated secret keys. A request is traced if its trace headers are signed with one of them. "
            "So only users who know a key can have requests traced. Services of one trace share at least one key. The "
            "first key signs the traces that a sampler started.",
            link="Change the default, because everybody knows it.",
        ),
        unread=(),
    )
    # the section ``keys`` of the policy
    limited_keys: tuple[LimitedKey, ...] = setting(Row(kinds.LIMITED_KEYS, default=(), secret=True))
    on_request: tuple[str, ...] = setting(
        _followed(
            kinds.some_of(asked),
            default=[],
            help="What a signed request may ask for beyond the switches here, for itself alone: arguments, sql, or a "
            "layer such as redis. A key with limits may ask only for what the policy lets it.",
            link="See `keys and switches for one request <steering.rst>`_.",
        )
    )
    connection_string: ClassVar = Row(
        kinds.TEXT,
        default="messaging://",
        secret=True,
        help="Where traces go: jaeger://HOST[:6831] (UDP), jaeger+http://HOST[:14268], otlp://HOST:4318, "
        "redis://HOST:6379, rediss://, redissentinel://, mongodb://HOST:27017, elasticsearch://HOST:9200, "
        "loginsight://USER:PASSWORD@HOST, messaging:// (oslo.messaging notifications), or any SQLAlchemy URL, e.g. "
        "sqlite:////var/lib/osprofiler/traces.db.",
        link="See `stores <stores.rst>`_.",
    )
    es_doc_type: ClassVar = Row(
        kinds.TEXT, default="notification", help="Document type of records in Elasticsearch before 7."
    )
    es_scroll_time: ClassVar = Row(
        kinds.TEXT, default="2m", help="How long Elasticsearch keeps the state of one read of a trace, e.g. 2m."
    )
    es_scroll_size: ClassVar = Row(
        kinds.integer(), default=10000, help="How many records Elasticsearch returns at a time."
    )
    socket_timeout: ClassVar = Row(
        kinds.NUMBER, default=0.1, help="Time-out of connections to Redis Sentinel, in seconds."
    )
    sentinel_service_name: ClassVar = Row(
        kinds.TEXT, default="mymaster", help="The name under which Redis Sentinel knows the master."
    )
    filter_error_trace: ClassVar = Row(
        kinds.SWITCH,
        default=False,
        help="Keep a separate list of failed traces, in stores that support it.",
    )
    # None (no configuration was read) means false, except in OpenTracing's extract: the application itself calls that.
    trust_incoming: trusts.Trust | None = setting(  # noqa: RUF009  (it is frozen)
        _followed(
            kinds.TRUST,
            default="signed",
            help="Which unsigned context (uber-trace-id, traceparent, b3) is continued, with its sampling decision: "
            "signed (none of it), all, or a list of networks of trusted peers (10.0.0.0/8), rpc (messages of RPC) and "
            "trusted formats (jaeger, w3c, b3). With join only its ids are continued: the sampler of this service "
            "decides. True and false mean all and signed.",
            link="See `propagation <propagation.rst>`_.",
        ),
        unread=None,
    )
    opentelemetry: str = setting(
        _followed(
            kinds.choice("child", "parent", "off"),
            default="child",
            help="What the spans of OpenStack's own OpenTelemetry tracing (oslo.middleware, oslo.messaging) are to "
            "those of osprofiler, where both are on: child (osprofiler's span stands for a request, a call or a "
            "dispatch; further spans of OpenTelemetry are its children), parent (OpenTelemetry's span stands for it; "
            "osprofiler's are its children), or off (neither sees the other).",
            link="See `propagation <propagation.rst>`_.",
        )
    )
    trusted_rate: str = setting(
        _followed(
            kinds.RATE,
            default="",
            help="How much of the trusted unsigned context that says yes is recorded: ratelimiting:100 (traces a "
            "second in each process) or probabilistic:0.1. Beyond that it is continued with a no. Empty: all.",
            link="See `keys and switches for one request <steering.rst>`_.",
        )
    )
    debug_rate: str = setting(
        _followed(
            kinds.RATE,
            default="ratelimiting:10",
            help="How many traces trusted debug ids (jaeger-debug-id) begin, as trusted_rate says it. Empty: all.",
        )
    )
    propagation: tuple[str, ...] = setting(
        _followed(
            kinds.PROPAGATION,
            default=["osprofiler", "jaeger", "w3c"],
            help="The formats of the trace context in outgoing requests: osprofiler (signed), jaeger (uber-trace-id), "
            "w3c (traceparent), b3. All of them are read.",
            link="See `propagation <propagation.rst>`_.",
        )
    )
    response_headers: bool = _switch(
        default=True,
        help="Whether the response to a traced HTTP request has the id of its trace, in the headers X-Trace-Id and "
        "traceresponse.",
        link="See `propagation <propagation.rst>`_.",
    )
    rpc_plain_peers: bool = _switch(
        help="Whether RPC messages also contain the trace in the form of osprofiler 4, for peers that still run "
        "it. Use it only during a rolling upgrade: this form contains the secret key.",
    )
    sampler: str = setting(
        _followed(
            kinds.SAMPLER,
            default="",
            help="Selects requests to trace although nobody asked: const:1 (all), probabilistic:0.001, ratelimiting:2 "
            "(a second), or remote:http://HOST:5778/sampling (Jaeger decides). Empty: none.",
        )
    )
    # (pattern, sampler): the first that matches an operation counts; if none matches, ``sampler`` counts
    operations: tuple[tuple[str, str], ...] = setting(
        Row(kinds.OPERATIONS, default=(), policy=True, help="Samplers for single operations, by patterns.")
    )
    # The first that matches a request counts, before ``operations``. A policy has them in a section of its own.
    rules: tuple[Rule, ...] = setting(Row(kinds.RULES, default=(), help="Rules that sample single requests."))
    policy_file: ClassVar = Row(
        kinds.TEXT,
        default="",
        secret=True,
        mutable=True,
        help="A YAML file with sampling and switches for each service; all services can use the same file. Its path, "
        "or a URL with http, https, redis or rediss. It wins over the options here, and is reloaded when it changes. "
        "Empty: none.",
        link="See `The policy file`_.",
    )
    policy_interval: ClassVar = Row(
        kinds.seconds(0.01),
        default=5.0,
        mutable=True,
        help="Seconds after which a change of the policy is in force in this service.",
    )
    policy_key: ClassVar = Row(
        kinds.KEYS,
        default="",
        secret=True,
        mutable=True,
        help="Comma-separated secret keys. If there are any, a policy counts only if it is signed with one of them. "
        "`osprofiler policy sign` signs it.",
        link="See `steering <steering.rst>`_.",
    )
    policy_state_dir: ClassVar = Row(
        kinds.TEXT,
        default="",
        mutable=True,
        help="The folder that keeps the last good policy. A service that starts while the policy cannot be read uses "
        "it. Empty: $XDG_STATE_HOME/osprofiler, which is ~/.local/state/osprofiler by default.",
    )
    policy_report: ClassVar = Row(
        kinds.seconds(0),
        default=3600.0,
        mutable=True,
        help="Seconds after which this process tells the store again which policy it follows, as it does after each "
        "change. `osprofiler policy show` reads that. 0: never.",
        link="See `steering <steering.rst>`_.",
    )
    instrument: tuple[str, ...] = setting(
        Row(
            kinds.NAMES,
            default=[],
            help="Libraries to instrument at start: messaging (a client and a server span for each RPC); layers, by "
            "the names of their libraries, where their switches are not set; and libraries that start work elsewhere, "
            "so that this work stays in the trace of its request: threading, futures, futurist, eventlet, gevent, "
            "asyncio, multiprocessing, subprocess, oslo_concurrency, oslo_service, openstacksdk.",
            link="See `layers <layers.rst>`_ and `concurrency <concurrency.rst>`_.",
        )
    )
    log_correlation: ClassVar = Row(
        kinds.SWITCH,
        default=True,
        help="Whether each record of the service's log has the attributes trace_id and span_id, for format strings and "
        "for oslo.log's JSON formatter.",
        link="See `Logs`_.",
    )
    log_records: int = setting(  # a level of logging; 0: none
        _followed(
            kinds.LEVEL,
            default="",
            help="Records of the service's log from this level on also become logs of the current span. Empty: none. "
            "It needs log_correlation.",
            link="See `Logs`_.",
        )
    )
    points: tuple[str, ...] | None = setting(
        _followed(
            kinds.POINTS,
            help="Functions of the service that become trace points: auto (the shipped profile of the service's "
            "project, or default if it has none), names of shipped profiles, YAML files, or single points such as "
            "nova.virt.driver:ComputeDriver+.spawn. A profile also names libraries, which are instrumented at start. "
            "Not set: auto, or nothing where instrument is set.",
            link="See `points <points.rst>`_.",
        )
    )
    scope_manager: ClassVar = Row(
        kinds.TEXT,
        default="",
        help="The opentracing.ScopeManager that holds the current span, as module:Class. Empty: osprofiler's own, "
        "which works for threads, greenthreads and asyncio at once.",
    )
    queue_spans: int = setting(
        Row(
            kinds.integer(1),
            default=100_000,
            help="How many spans may wait for delivery; more are dropped. In a store of records, the start and the end "
            "of a span count separately.",
        )
    )
    queue_bytes: int = setting(
        Row(
            kinds.integer(1),
            default=64 << 20,
            help="How many bytes of spans may wait for delivery; more are dropped.",
        )
    )
    flush_interval_s: float = setting(
        Row(
            kinds.seconds(0.01),
            name="flush_interval",
            default=1.0,
            help="Seconds between deliveries. A killed process loses at most the spans of this time.",
        )
    )
    flush_timeout_s: float = setting(
        Row(
            kinds.seconds(0),
            name="flush_timeout",
            default=5.0,
            help="Seconds that a stopping service waits for its last spans to be delivered.",
        )
    )
    jaeger_service_name_prefix: ClassVar = Row(
        kinds.TEXT,
        group="profiler_jaeger",
        name="service_name_prefix",
        help="Prefix of the service's name in Jaeger: PREFIX-PROJECT-SERVICE.",
    )
    jaeger_process_tags: ClassVar = Row(
        kinds.TAGS,
        group="profiler_jaeger",
        name="process_tags",
        default={},
        help="Tags of the process in Jaeger, e.g. region:one,rack:12.",
    )
    otlp_service_name_prefix: ClassVar = Row(
        kinds.TEXT,
        group="profiler_otlp",
        name="service_name_prefix",
        help="Prefix of service.name over OTLP: PREFIX-PROJECT-SERVICE.",
    )

    @property
    def first_key(self) -> str | None:
        """The key that signs a trace without a key of its own, so that services which trust only keys continue it."""
        return self.hmac_keys[0] if self.hmac_keys else None

    @functools.cached_property
    def keys_by_secret(self) -> Mapping[str, LimitedKey]:
        """The keys with limits, by their secrets."""
        return {key.secret: key for key in self.limited_keys}

    @functools.cached_property
    def names_off(self) -> tuple[str, ...]:
        """How the names of trace points begin that code of services makes itself, and a switch turns off."""
        return () if self.trace_pooling else ("pooling_",)  # zaqar's controllers and its driver for pools

    @functools.cached_property
    def samples(self) -> bool:
        """Whether a sampler or a rule may select requests that did not ask for a trace."""
        return bool(self.sampler or self.operations or self.rules)

    @functools.cached_property
    def traces_unasked(self) -> bool:
        """Whether a request may be traced that has no signed header."""
        return bool(self.samples or self.trust_incoming)
