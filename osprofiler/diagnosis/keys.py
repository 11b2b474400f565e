# SPDX-License-Identifier: Apache-2.0
"""Whether the keys are secret, long enough, and shared with other services; and whether these use the same store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from osprofiler.config.row import rows
from osprofiler.config.table import Settings
from osprofiler.connection.secrets import masked
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig, fingerprint

#: A shorter key may be guessed: its digests travel in each request.
SHORT_BYTES = 16

_NEW_KEY = "set [profiler] hmac_keys to the same random text in all services, for instance from `openssl rand -hex 32`"


def check(config: ServiceConfig, others: Sequence[ServiceConfig] = ()) -> Iterator[Result]:
    """The keys of the service, and how they and the store fit those of *others*."""
    values = {"fingerprints": shown(config.keys)}
    if not config.keys:
        status = Status.WARN if config.settings.samples else Status.FAIL
        yield Result("keys", status, "hmac_keys is empty: nobody can ask for a trace", _NEW_KEY, values)
        return
    weak = [*_default(config), *_short(config)]
    yield from weak
    if not weak:
        text = f"{_number(config.keys)}, fingerprints {', '.join(shown(config.keys))}"
        yield Result("keys", Status.OK, text, values=values)
    for other in others:
        yield from _with(config, other)


def shown(keys: Sequence[str]) -> list[str]:
    """What may be shown of *keys*."""
    return [fingerprint(key) for key in keys]


def _default(config: ServiceConfig) -> Iterator[Result]:
    default = rows(Settings)["hmac_keys"].default
    if default in config.keys:
        where = "" if config.source("hmac_keys") == "default" else f" in {config.source('hmac_keys')}"
        text = f"hmac_keys{where} has the default key, which everybody knows: anybody can have requests traced"
        yield Result("keys", Status.FAIL, text, _NEW_KEY, {"fingerprints": shown(config.keys)})


def _short(config: ServiceConfig) -> Iterator[Result]:
    default = rows(Settings)["hmac_keys"].default
    for key in config.keys:
        size = len(key.encode("utf-8", "surrogatepass"))
        if size < SHORT_BYTES and key != default:
            text = f"the key with the fingerprint {fingerprint(key)} is short: {size} bytes, and it may be guessed"
            yield Result("keys", Status.WARN, text, _NEW_KEY, {"fingerprints": shown(config.keys)})


def _with(config: ServiceConfig, other: ServiceConfig) -> Iterator[Result]:
    shared = [key for key in config.keys if key in other.keys]
    values = {"with": other.files, "shared": shown(shared)}
    if not shared:
        yield Result(
            "keys",
            Status.FAIL,
            f"no key is shared with {other.title} (here {_list(config.keys)}; there {_list(other.keys)}): traces end "
            "between the services",
            "give both at least one key in common",
            values,
        )
    elif any(one.settings.samples and one.keys[0] not in two.keys for one, two in ((config, other), (other, config))):
        yield Result(
            "keys",
            Status.WARN,
            f"a key is shared with {other.title}, but not the first one, which signs the traces that a sampler starts",
            "put the shared key first in both",
            values,
        )
    else:
        yield Result("keys", Status.OK, f"shared with {other.title}: {_list(shared)}", values=values)
    if config.connection_string != other.connection_string:
        here, there = masked(config.connection_string), masked(other.connection_string)
        differ = f"{here} here, {there} in {other.title}"
        if here == there:
            differ = f"{here}, and another password in {other.title}"
        yield Result(
            "store",
            Status.WARN,
            f"the connection strings differ: {differ}",
            "use one store for all services, so that traces are whole",
            {"with": other.files},
        )


def _number(keys: Sequence[str]) -> str:
    return f"{len(keys)} key{'' if len(keys) == 1 else 's'}"


def _list(keys: Sequence[str]) -> str:
    return ", ".join(shown(keys)) or "none"
