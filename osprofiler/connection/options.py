# SPDX-License-Identifier: Apache-2.0
"""The schemes of connection strings: the driver of each, and its options after ``?``.

All code that asks for a scheme, and the documentation, use this table. If the client library of a scheme has options of
its own, these are accepted too, and the library checks them.
"""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """One option: its name, the form of its value, and its effect."""

    name: str
    value: str
    about: str


class Scheme(NamedTuple):
    """Schemes with the same driver and the same options."""

    names: tuple[str, ...]
    driver: str  # module and class in ``osprofiler.drivers``
    options: tuple[Option, ...]
    library: str = ""  # the library whose own options are accepted too


_TTL = Option("ttl", "TIME", "delete traces after this time: 3600 (seconds), 90m, 12h, 7d")
_CLUSTER = Option("cluster", "yes|no", "the server is a node of a Redis cluster; default: ask the server")
_SCAN = Option(
    "scan",
    "yes|no",
    "also list traces that are not in the index, since osprofiler 4 has written them: a scan of all keys; default: yes",
)

#: For servers that are reached by HTTPS.
_TLS = (
    Option("ca_certs", "FILE", "the certificates of the authorities that may have signed the server's certificate"),
    Option("verify", "yes|no", "check the server's certificate"),
    Option("certfile", "FILE", "the client's certificate"),
    Option("keyfile", "FILE", "the key of certfile, if it is in a file of its own"),
)
_TOKEN = Option("token", "TOKEN", "the bearer token")
_QUERY = (
    Option("query", "URL", "Jaeger's query service, to read traces from"),
    Option("query_token", "TOKEN", "the bearer token for the query service; default: token, if both are on one host"),
)

#: Transports of whole spans. Every other scheme is a store of records.
JAEGER_UDP = Scheme(("jaeger",), "jaeger:Jaeger", (*_QUERY, *_TLS))
JAEGER_HTTP = Scheme(("jaeger+http", "jaeger+https"), "jaeger:Jaeger", (_TOKEN, *_QUERY, *_TLS))
OTLP = Scheme(("otlp", "otlps"), "otlp:OTLP", (_TOKEN, *_QUERY, *_TLS))

ELASTICSEARCH = Scheme(
    tuple(f"{name}{over}" for name in ("elasticsearch", "opensearch") for over in ("", "+http", "+https")),
    "elasticsearch_driver:ElasticsearchDriver",
    (_TOKEN, *_TLS),
)

#: Also with "+library" after the name. These are SQLAlchemy's own dialects: for others, SQLAlchemy is asked, which
#: searches the installed distributions.
SQL = Scheme(
    ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"),
    "sqlalchemy_driver:SQLAlchemyDriver",
    (),
    "the library in the URL, and SQLAlchemy",
)

SCHEMES: tuple[Scheme, ...] = (
    JAEGER_UDP,
    JAEGER_HTTP,
    OTLP,
    Scheme(("redis", "rediss"), "redis_driver:Redis", (_TTL, _SCAN, _CLUSTER), "redis-py"),
    Scheme(
        ("redissentinel",),
        "redis_driver:RedisSentinel",
        (
            _TTL,
            _SCAN,
            Option("service_name", "NAME", "the Sentinels' name for the master"),
            Option("ssl", "yes|no", "use TLS"),
            Option("sentinel_username", "NAME", "the user name at the Sentinels"),
            Option("sentinel_password", "PASSWORD", "the password at the Sentinels"),
        ),
    ),
    Scheme(("mongodb", "mongodb+srv"), "mongodb:MongoDB", (_TTL,), "pymongo"),
    ELASTICSEARCH,
    Scheme(("loginsight",), "loginsight:LogInsightDriver", _TLS),
    Scheme(
        ("messaging",),
        "messaging:Messaging",
        (Option("plain", "yes|no", "one notification for each record, as osprofiler 4 expects"),),
    ),
    SQL,
)

#: Each scheme of :data:`SCHEMES` by its names.
BY_NAME = {name: scheme for scheme in SCHEMES for name in scheme.names}

#: Every option of every scheme.
NAMES = frozenset(option.name for scheme in SCHEMES for option in scheme.options)


def names(scheme: str) -> tuple[str, ...]:
    """The names of the options of *scheme*."""
    return tuple(option.name for option in BY_NAME[scheme].options)


def uses_tls(scheme: str) -> bool:
    """Whether *scheme*, of a transport or store that is reached by HTTP, means HTTPS."""
    return scheme.endswith(("+https", "otlps"))


def http_scheme(scheme: str) -> str:
    """The scheme of the URL for such a *scheme*: ``http`` or ``https``."""
    return "https" if uses_tls(scheme) else "http"
