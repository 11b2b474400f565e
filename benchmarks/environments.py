# SPDX-License-Identifier: Apache-2.0
"""The contenders, and a virtual environment for each, made once and kept in the user's cache.

Each has one of its own because they cannot live together: two of them are called ``osprofiler``, and a tracer's
libraries, once imported, change what the next one is measured with.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from tests import environments

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = environments.REPOSITORY

_OTLP = ("opentelemetry-sdk>=1.45", "opentelemetry-exporter-otlp-proto-http>=1.45")
_LAYERS = (
    *("dogpile.cache>=1.0", "grpcio>=1.49.1", "httpx>=0.25", "keystoneauth1>=5.0", "oslo.concurrency>=5.0"),
    "pymemcache>=4.0",
)
_CLIENTS = ("psycopg[binary]>=3.1.4", "PyMySQL>=1.1")
_COMMON = ("pyperf>=2.10", "eventlet>=0.36")


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to trace a service: the name in tables, its module in ``child/contenders``, what pip installs for it."""

    name: str
    module: str
    requirements: tuple[str, ...]
    target: str  # where it delivers: jaeger_http, jaeger_udp, otlp, agent, or "" for nowhere
    title: str
    of_this_tree: bool = False
    only: tuple[str, ...] = ()  # the operations that it has, if it is no tracer for everything

    def python(self) -> Path:
        """The interpreter of its environment, making it if it is not there yet. Raises NotMade."""
        return environments.python(f"bench-{self.name.partition('-')[0]}", *self.requirements)

    def environ(self) -> dict[str, str]:
        """The environment variables of its processes."""
        # No spans are to be lost for want of room, or the figures would compare different work.
        more = {"OTEL_BSP_MAX_QUEUE_SIZE": "200000", "OTEL_SDK_DISABLED": "false", "PYTHONHASHSEED": "0"}
        return environments.variables(*([ROOT] if self.of_this_tree else []), **more)


def _of_this_tree() -> tuple[str, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    used = [
        requirement
        for name in ("analysis", "messaging", "mongo", "redis", "sqlalchemy")
        for requirement in extras[name]
    ]
    return (*project["dependencies"], *used, *_CLIENTS, *_LAYERS, *_COMMON)


def contenders() -> dict[str, Contender]:
    """All of them, by name; this project first."""
    ours, theirs = _of_this_tree(), ("osprofiler==4.4.0", *_OTLP, "oslo.messaging>=18.3", *_COMMON)
    made = (
        Contender("ours", "osprofiler5", ours, "jaeger_http", "this project, jaeger+http://", True),
        Contender("ours-udp", "osprofiler5", ours, "jaeger_udp", "this project, jaeger:// (UDP)", True),
        Contender("stock-noop", "osprofiler4", theirs, "", "osprofiler 4.4.0, no store"),
        Contender("stock-otlp", "osprofiler4", theirs, "otlp", "osprofiler 4.4.0, otlp://"),
        Contender("jaeger", "jaeger_client", ("jaeger-client==4.8.0", "six", *_COMMON), "jaeger_udp", "jaeger-client"),
        Contender("otel", "opentelemetry", (*_OTLP, *_COMMON), "otlp", "OpenTelemetry SDK, OTLP/HTTP"),
        Contender("ddtrace", "ddtrace", ("ddtrace>=4", *_COMMON), "agent", "ddtrace, a sink as agent"),
        Contender(
            "oslo",
            "oslo_opentelemetry",
            ("oslo.middleware>=8.2", "oslo.messaging>=18.3", *_OTLP, *_COMMON),
            "otlp",
            "oslo.middleware and oslo.messaging, own OpenTelemetry",
            only=("wsgi", "rpc"),
        ),
        Contender("bare", "bare", ("oslo.messaging>=18.3", *_COMMON), "", "no tracing at all", only=("wsgi", "rpc")),
    )
    return {one.name: one for one in made}
