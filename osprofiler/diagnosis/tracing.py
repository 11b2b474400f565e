# SPDX-License-Identifier: Apache-2.0
"""What is on, and where it is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osprofiler.config import sampler_spec, shown
from osprofiler.config.trust import SIGNED
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
    values = {"sampler": shown.plain(sampler), "operations": shown.plain(operations) or {}}
    signed = "requests with a header signed by one of hmac_keys"
    try:
        spec = sampler_spec.parse(sampler)
    except ValueError as error:
        return Result("sampler", Status.FAIL, f"{error}", f"until then only {signed} are traced", values)
    if spec.kind == "const" and not spec.rate and not operations and not rules:
        return Result("sampler", Status.OK, f"none: only {signed} are traced", values=values)
    kinds = [f"sampler = {shown.text(sampler)} {_where(config, 'sampler')}"] if sampler else []
    if operations:
        kinds.append(f"samplers of {len(operations)} operations in {config.policy_path}")
    if rules:
        kinds.append(f"{len(rules)} rules in {config.policy_path}")
    return Result("sampler", Status.OK, ", ".join([*kinds, f"and {signed}"]), values=values)


def _policy(config: ServiceConfig) -> Result:
    path, mistakes = config.policy_path, config.policy_mistakes
    if config.policy_fault:
        advice = "make it readable from this host"
        if config.option("policy_key"):
            advice += ", signed with a key of [profiler] policy_key: see `osprofiler policy sign`"
        unusable = {"path": path, "fault": config.policy_fault}
        return Result("policy", Status.FAIL, f"{path}: {config.policy_fault}", advice, unusable)
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
    settings: Any = {name: shown.plain(chosen[name]) for name in chosen}
    values = {"path": path, "service": config.name, "signed": config.policy_is_signed, "settings": settings}
    named = f"for {config.name}" if config.service else "for a service without a name (give --service)"
    text = ", ".join(f"{name} = {shown.text(chosen[name])}" for name in chosen) or "nothing"
    unused = config.unused_policy
    if unused:
        return Result("policy", Status.WARN, f"{path}: {unused[0]}", "remove the entry or move it up", values)
    signed = "signed, " if config.option("policy_key") else ""
    if path.startswith("http:") and not signed:
        text = f"{path}: anybody on the way can change it"
        return Result("policy", Status.WARN, text, "use https, or sign it and set [profiler] policy_key", values)
    return Result("policy", Status.OK, f"{path} {named}: {signed}{text}", values=values)


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
