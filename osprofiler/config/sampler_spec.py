# SPDX-License-Identifier: Apache-2.0
"""The text form of a sampler, in ``[profiler] sampler`` and in a policy.

``""`` (no sampler), ``const:0`` or ``const:1``, ``probabilistic:0.01`` (a share of requests), ``ratelimiting:2``
(requests per second), ``remote:http://host:5778/sampling`` (Jaeger decides; it is asked once a minute, or every
``?interval=`` seconds).
"""

from __future__ import annotations

import math
import urllib.parse
from typing import NamedTuple

from osprofiler.connection.secrets import masked

#: The interval of Jaeger's clients, in seconds.
POLL_INTERVAL_S = 60.0


class SamplerSpec(NamedTuple):
    """A sampler: its kind and parameter.

    The rate of ``const`` is 0 or 1, of ``probabilistic`` 0 to 1, of ``ratelimiting`` traces per second.
    """

    kind: str
    rate: float = 0.0
    url: str | None = None  # of the remote sampler's server, without the interval
    interval_s: float = POLL_INTERVAL_S


def parse(text: str) -> SamplerSpec:
    """Parse *text*. Raises ValueError, with one line, if it is not a sampler."""
    kind, _, parameter = text.strip().partition(":")
    try:
        spec = _parse(kind, parameter)
    except ValueError:  # from float() or urlsplit()
        spec = None
    if spec is None:
        raise ValueError(
            f"{shown(text)!r} is not a sampler: use const:0, const:1, probabilistic:RATE, ratelimiting:PER_SECOND "
            "or remote:http://HOST:PORT/sampling"
        )
    return spec


def local(text: str) -> str:
    """*text*, if it is a sampler that asks nobody. Raises ValueError, with one line, if it is not, or empty."""
    if not text.strip() or parse(text).kind == "remote":
        raise ValueError("must be ratelimiting:PER_SECOND, probabilistic:SHARE, const:1 or const:0")
    return text.strip()


def _parse(kind: str, parameter: str) -> SamplerSpec | None:
    if not kind:
        return SamplerSpec("const")
    if kind == "const" and parameter in ("0", "1"):
        return SamplerSpec(kind, float(parameter))
    if kind == "probabilistic" and 0 <= float(parameter) <= 1:
        return SamplerSpec(kind, float(parameter))
    if kind == "ratelimiting" and 0 <= float(parameter) < math.inf:
        return SamplerSpec(kind, float(parameter))
    if kind == "remote":
        return _remote(parameter)
    return None


def _remote(url: str) -> SamplerSpec | None:
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    interval_s = float(query.pop("interval", POLL_INTERVAL_S))
    if parts.scheme not in ("http", "https") or not parts.hostname or not 0 <= interval_s < math.inf:
        return None
    server_url = urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
    return SamplerSpec("remote", url=server_url, interval_s=interval_s)


def shown(text: str) -> str:
    """*text* without the password of a remote sampler's address."""
    kind, colon, parameter = text.partition(":")
    return f"{kind}{colon}{masked(parameter)}" if kind.strip() == "remote" else text
