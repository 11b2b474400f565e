# SPDX-License-Identifier: Apache-2.0
"""What is on, and where it is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osprofiler.config import sampler_spec
from osprofiler.config.trust import SIGNED, Trust
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig


def check(config: ServiceConfig) -> Iterator[Result]:
    """Whether the service can be traced, which requests are, and which context of a caller counts."""
    yield _enabled(config)
    yield _sampling(config)
    if config.policy_path:
        yield _policy(config)
    yield _trust(config)
    yield _propagation(config)
    if config.settings.rpc_plain_peers:
        yield Result(
            "rpc",
            Status.WARN,
            f"rpc_plain_peers = true {_where(config, 'rpc_plain_peers')}: RPC messages contain the secret key",
            "set it to false when no service runs osprofiler 4 any more",
            {"rpc_plain_peers": True},
        )


def _enabled(config: ServiceConfig) -> Result:
    by_options, on = bool(config.option("enabled")), config.settings.enabled
    where = _where(config, "enabled")
    values = {"enabled": on, "source": config.source("enabled")}
    if on and not by_options:
        return Result(
            "enabled",
            Status.FAIL,
            f"the policy sets enabled = true {where}, the configuration false: the service starts without tracing",
            "set [profiler] enabled = true and restart the service",
            values,
        )
    if on:
        return Result("enabled", Status.OK, f"on: enabled = true {where}", values=values)
    advice = "set [profiler] enabled = true and restart the service"
    if by_options:
        advice = "change the policy to trace this service; no restart is needed"
    return Result("enabled", Status.WARN, f"off: enabled = false {where}", advice, values)


def _sampling(config: ServiceConfig) -> Result:
    sampler, operations, rules = config.settings.sampler, config.settings.operations, config.settings.rules
    values = {"sampler": _plain(sampler), "operations": _plain(operations) or {}}
    signed = "requests with a header signed by one of hmac_keys"
    try:
        spec = sampler_spec.parse(sampler)
    except ValueError as error:
        return Result("sampler", Status.FAIL, f"{error}", f"until then only {signed} are traced", values)
    if spec.kind == "const" and not spec.rate and not operations and not rules:
        return Result("sampler", Status.OK, f"none: only {signed} are traced", values=values)
    kinds = [f"sampler = {_text(sampler)} {_where(config, 'sampler')}"] if sampler else []
    if operations:
        kinds.append(f"samplers of {len(operations)} operations in {config.policy_path}")
    if rules:
        kinds.append(f"{len(rules)} rules in {config.policy_path}")
    return Result("sampler", Status.OK, ", ".join([*kinds, f"and {signed}"]), values=values)


def _policy(config: ServiceConfig) -> Result:
    path, mistakes = config.policy_path, config.policy_mistakes
    if mistakes:
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        return Result(
            "policy",
            Status.FAIL,
            f"{path}: {mistakes[0]}{more}",
            f"correct it; `osprofiler policy check {path}` lists the mistakes",
            {"path": path, "mistakes": list(mistakes)},
        )
    chosen = config.policy_settings
    values = {"path": path, "service": config.name, "settings": {name: _plain(chosen[name]) for name in chosen}}
    named = f"for {config.name}" if config.service else "for a service without a name (give --service)"
    text = ", ".join(f"{name} = {_text(chosen[name])}" for name in chosen) or "nothing"
    unused = config.unused_policy
    if unused:
        return Result("policy", Status.WARN, f"{path}: {unused[0]}", "remove the entry or move it up", values)
    return Result("policy", Status.OK, f"{path} {named}: {text}", values=values)


def _trust(config: ServiceConfig) -> Result:
    trust = config.settings.trust_incoming or SIGNED
    where = _where(config, "trust_incoming")
    values = {"trust_incoming": str(trust)}
    if not trust:
        text = f"only signed context is continued: trust_incoming = {trust} {where}"
        return Result("trust", Status.OK, text, values=values)
    text = f"unsigned context is continued too: trust_incoming = {trust} {where}"
    return Result("trust", Status.OK, text, "see that only trusted callers reach the service", values)


def _propagation(config: ServiceConfig) -> Result:
    formats = config.settings.propagation
    values = {"propagation": list(formats)}
    if not formats:
        return Result(
            "propagation",
            Status.WARN,
            f"none {_where(config, 'propagation')}: traces end where the service calls another one",
            "set [profiler] propagation, for instance to osprofiler, w3c",
            values,
        )
    text = f"{', '.join(formats)} {_where(config, 'propagation')}"
    return Result("propagation", Status.OK, text, values=values)


def _where(config: ServiceConfig, name: str) -> str:
    source = config.source(name)
    return f"({'by default' if source == 'default' else f'in {source}'})"


def _text(value: Any) -> str:
    plain = _plain(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, dict):
        return "; ".join(f"{pattern!r} {spec}" for pattern, spec in plain.items())
    return ", ".join(plain) if isinstance(plain, list) else str(plain)


def _plain(value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, tuple):
        pairs = value and all(isinstance(each, tuple) for each in value)
        return {pattern: sampler_spec.shown(spec) for pattern, spec in value} if pairs else list(map(str, value))
    if isinstance(value, Trust):
        return str(value)
    return sampler_spec.shown(value) if isinstance(value, str) else value
