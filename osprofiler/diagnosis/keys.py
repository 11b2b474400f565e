# SPDX-License-Identifier: Apache-2.0
"""Whether the keys are secret, long enough, limited as the policy says, and shared with other services.

Also whether these use the same store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from osprofiler.config.limited_key import is_default, is_short, size
from osprofiler.connection.secrets import masked
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig, fingerprint

_NEW_KEY = "set [profiler] hmac_keys to the same random text in all services, for instance from `openssl rand -hex 32`"


def check(config: ServiceConfig, others: Sequence[ServiceConfig] = ()) -> Iterator[Result]:
    """The keys of the service, and how they and the store fit those of *others*."""
    values = {"fingerprints": shown(config.keys)}
    if not config.keys:
        status = Status.WARN if config.settings.samples else Status.FAIL
        if not config.settings.limited_keys:
            yield Result("keys", status, "hmac_keys is empty: nobody can ask for a trace", _NEW_KEY, values)
        yield from _limited(config)
        return
    weak = [*_default(config), *_short(config)]
    yield from weak
    if not weak:
        text = f"{_number(config.keys)}, fingerprints {', '.join(shown(config.keys))}"
        yield Result("keys", Status.OK, text, values=values)
    yield from _limited(config)
    for other in others:
        yield from _with(config, other)


def shown(keys: Sequence[str]) -> list[str]:
    """What may be shown of *keys*."""
    return [fingerprint(key) for key in keys]


def _default(config: ServiceConfig) -> Iterator[Result]:
    if any(is_default(key) for key in config.keys):
        where = "" if config.source("hmac_keys") == "default" else f" in {config.source('hmac_keys')}"
        text = f"hmac_keys{where} has the default key, which everybody knows: anybody can have requests traced"
        yield Result("keys", Status.FAIL, text, _NEW_KEY, {"fingerprints": shown(config.keys)})


def _short(config: ServiceConfig) -> Iterator[Result]:
    for key in config.keys:
        if is_short(key) and not is_default(key):
            text = f"the key with the fingerprint {fingerprint(key)} is short: {size(key)} bytes, and it may be guessed"
            yield Result("keys", Status.FAIL, text, _NEW_KEY, {"fingerprints": shown(config.keys)})


def _limited(config: ServiceConfig) -> Iterator[Result]:
    """The keys with limits in the policy."""
    for key in config.settings.limited_keys:
        if key.secret in config.keys:
            text = f"the key {key.name} of the policy is also in hmac_keys: its limits have no effect"
            yield Result("keys", Status.FAIL, text, "give it a secret of its own", {"name": key.name})
        elif not config.keys:
            text = f"hmac_keys is empty: a trace that the key {key.name} of the policy asks for ends in this service"
            yield Result("keys", Status.FAIL, text, _NEW_KEY, {"name": key.name})


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
