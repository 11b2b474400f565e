# SPDX-License-Identifier: Apache-2.0
"""Turn tracing on for a service as its configuration says, and follow changes of the configuration."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from osprofiler import config, notifier
from osprofiler._runtime import guard
from osprofiler.concurrency import isolation
from osprofiler.config import options, switches
from osprofiler.config.configuration import Configuration
from osprofiler.config.policy import Policy
from osprofiler.context import scope
from osprofiler.instrumentation import layers, opentelemetry, points, registry
from osprofiler.instrumentation import logging as log_records
from osprofiler.tracer import global_tracer

if TYPE_CHECKING:
    from osprofiler.steering.follower import PolicyFollower

LOG = logging.getLogger(__name__)

_configuration: Configuration | None = None
_follower: PolicyFollower | None = None
_project = ""


def init_from_conf(
    conf: cfg.ConfigOpts,
    context: Any,
    project: str,
    service: str,
    host: str,
    **kwargs: Any,
) -> None:
    """Turn tracing on for this process as ``[profiler]`` in *conf* says. Never raises.

    Traces go to the store of ``connection_string`` under the name *project*-*service* and *host*. The driver of the
    store gets *context* and *kwargs*. Mutable options change when *conf* is mutated. If the configuration cannot be
    used, the error is logged, and the service is not traced.
    """
    global _configuration, _project
    with guard.Harmless("init_from_conf"):
        _project = project
        _name_default_layers(conf)
        _configuration = Configuration(conf, _service_name, _act)
        chosen = notifier.create(
            conf.profiler.connection_string,
            context=context,
            project=project,
            service=service,
            host=host,
            conf=conf,
            **kwargs,
        )
        notifier.set(chosen)
        for step in (
            options.name_unknown,
            options.name_weak_keys,
            _isolate,
            _flush_at_exit,
            _use_scope_manager,
            _correlate_logs,
            _join_opentelemetry,
            _instrument,
            _sample,
            _follow_policy,
            _put_in_force,
            _watch,
        ):
            with guard.Harmless(f"init_from_conf.{step.__name__}"):  # if a step fails, the others still run
                step(conf)


def _libraries(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """What is to be instrumented: by ``instrument``, and by the profiles of ``points``."""

    def is_on(option: str) -> bool:
        return option in conf.profiler and bool(conf.profiler[option])

    return points.instrumentations(_project, options.value(conf, "points"), options.value(conf, "instrument"), is_on)


def _name_default_layers(conf: cfg.ConfigOpts) -> None:
    """A layer that is to be instrumented is on unless its switch, in the configuration or the policy, is off."""
    for name in _libraries(conf):
        if layers.SWITCHES.get(name) in conf.profiler:
            conf.set_default(layers.SWITCHES[name], True, group="profiler")


def _isolate(conf: cfg.ConfigOpts) -> None:
    isolation.install()


def _flush_at_exit(conf: cfg.ConfigOpts) -> None:
    from osprofiler.delivery import exits, uwsgi

    exits.install()
    uwsgi.install(global_tracer.flush)


def _watch(conf: cfg.ConfigOpts) -> None:
    conf.register_mutate_hook(_on_mutate)


def _follow_policy(conf: cfg.ConfigOpts) -> None:
    """Read the policy that *conf* names now, if any, and follow its changes. It is not yet in force."""
    global _follower
    assert _configuration is not None
    before, _follower = _follower, None
    if before is not None:
        before.end()
    if options.value(conf, "policy_file"):
        from osprofiler.steering import configured

        _follower = configured.follower(conf, _service_name, _configuration.follow, before)
    _configuration.policy = Policy() if _follower is None else _follower.begin()


def _put_in_force(conf: cfg.ConfigOpts) -> None:
    assert _configuration is not None
    _configuration.put_in_force()
    registry.follow(_configuration.before, config.current())


def _service_name() -> str:
    return global_tracer.get_tracer().service_name


def _act(before: config.Settings, after: config.Settings) -> None:
    """Apply a change of the settings, from *before* to *after*, to what does not read the settings itself."""
    assert _configuration is not None
    switches.follow(before, after, _configuration.keys_changed)
    registry.follow(before, after)
    points.follow(_project, after)
    if (after.sampler, after.operations, after.rules) != (before.sampler, before.operations, before.rules):
        _sample(before=before)


def _sample(conf: cfg.ConfigOpts | None = None, before: config.Settings | None = None) -> None:
    from osprofiler.tracer.rules import sampler_after

    tracer = global_tracer.get_tracer()
    tracer.sampler = sampler_after(tracer.sampler, before, config.current(), tracer.service_name)


def _use_scope_manager(conf: cfg.ConfigOpts) -> None:
    path = options.value(conf, "scope_manager")
    if not path:
        return
    module, _, name = path.partition(":")
    try:
        scope.use(getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError, TypeError, ValueError) as fault:
        LOG.error("[profiler] scope_manager = %s: %s; osprofiler uses its own scope manager", path, fault)


def _correlate_logs(conf: cfg.ConfigOpts) -> None:
    if options.value(conf, "log_correlation"):
        log_records.instrument()


def _join_opentelemetry(conf: cfg.ConfigOpts) -> None:
    opentelemetry.instrument()


def _instrument(conf: cfg.ConfigOpts) -> None:
    for name in _libraries(conf):
        if name in layers.SWITCHES:
            continue  # its switch decides
        try:
            registry.instrument(name)
        except ValueError as fault:
            LOG.error("[profiler] instrument: %s", fault)


def _on_mutate(conf: cfg.ConfigOpts, fresh: dict[tuple[str | None, str], tuple[Any, Any]]) -> None:
    """Follow a change of the configuration. *fresh* maps (group, option) to the old and the new value in the file."""
    changed = {name for group, name in fresh if group == "profiler"}
    if changed and _configuration is not None:
        with guard.Harmless("mutate"):
            if any(name.startswith("policy_") for name in changed):
                _follow_policy(conf)
            _configuration.mutated(conf, changed)
