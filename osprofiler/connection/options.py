# SPDX-License-Identifier: Apache-2.0
"""The options after ``?`` of a connection string, of every scheme: for readers, writers and the documentation.

A scheme whose client library has options of its own takes those too, and the library checks them.
"""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """One option: its name, the form of its value, and what it does."""

    name: str
    value: str
    about: str


class Scheme(NamedTuple):
    """The schemes of one kind, and the options that they have."""

    names: tuple[str, ...]
    options: tuple[Option, ...]
    library: str = ""  # whose options are taken besides


_TTL = Option("ttl", "TIME", "forget traces after this time: 3600 (seconds), 90m, 12h, 7d")
_CLUSTER = Option("cluster", "yes|no", "the server is a node of a Redis cluster; asked of it where this does not say")

#: For servers that are spoken to by HTTPS.
_TLS = (
    Option("ca_certs", "FILE", "the certificates that may have signed the server's"),
    Option("verify", "yes|no", "check the server's certificate"),
    Option("certfile", "FILE", "the certificate that the client shows"),
    Option("keyfile", "FILE", "the key of certfile, where that file does not hold it"),
)
_TOKEN = Option("token", "TOKEN", "send it as the bearer token")
_QUERY = (
    Option("query", "URL", "Jaeger's query service, which traces are read from"),
    Option("query_token", "TOKEN", "the bearer token for the query service; token, where both are on one host"),
)

SCHEMES: tuple[Scheme, ...] = (
    Scheme(("jaeger",), (*_QUERY, *_TLS)),
    Scheme(("jaeger+http", "jaeger+https"), (_TOKEN, *_QUERY, *_TLS)),
    Scheme(("otlp", "otlps"), (_TOKEN, *_QUERY, *_TLS)),
    Scheme(("redis", "rediss"), (_TTL, _CLUSTER), "redis-py"),
    Scheme(
        ("redissentinel",),
        (
            _TTL,
            Option("service_name", "NAME", "the name by which the Sentinels know the master"),
            Option("ssl", "yes|no", "speak TLS"),
            Option("sentinel_username", "NAME", "the account at the Sentinels"),
            Option("sentinel_password", "PASSWORD", "its password"),
        ),
    ),
    Scheme(("mongodb", "mongodb+srv"), (_TTL,), "pymongo"),
    Scheme(
        tuple(f"{name}{over}" for name in ("elasticsearch", "opensearch") for over in ("", "+http", "+https")),
        (_TOKEN, *_TLS),
    ),
    Scheme(("loginsight",), _TLS),
    Scheme(("messaging",), (Option("plain", "yes|no", "one notification a record, as osprofiler 4 listens for"),)),
    Scheme(
        ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"), (), "the library in the URL, and SQLAlchemy"
    ),
)

_BY_SCHEME = {name: scheme for scheme in SCHEMES for name in scheme.names}

#: Every option of every scheme.
NAMES = frozenset(option.name for scheme in SCHEMES for option in scheme.options)


def names(scheme: str) -> tuple[str, ...]:
    """The names of the options that *scheme* has."""
    return tuple(option.name for option in _BY_SCHEME[scheme].options)
