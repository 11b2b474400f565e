# SPDX-License-Identifier: Apache-2.0
"""Turn tracing on for a service from its configuration, and follow that configuration as it changes."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from oslo_config import cfg

from osprofiler import _guard, _settings, notifier, opentracing_compat, requests, sqlalchemy, web
from osprofiler._utils import split
from osprofiler.opentracing_compat import scope
from osprofiler.opentracing_compat.concurrency import isolation

LOG = logging.getLogger(__name__)


def init_from_conf(
    conf: cfg.ConfigOpts,
    context: Any,
    project: str,
    service: str,
    host: str,
    **kwargs: Any,
) -> None:
    """Turn tracing on for this process as ``[profiler]`` in *conf* says.

    Traces go to the store of ``connection_string`` under the name *project*-*service* and *host*; *context* and
    *kwargs* are handed to the store's driver. Options marked mutable are followed when *conf* is mutated. A
    configuration that cannot be used is logged and leaves the service untraced; nothing is raised.
    """
    with _guard.Harmless("init_from_conf"):
        _settings.publish(enabled=True, **_settings_from(conf))
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
        for step in (_isolate, _flush_at_exit, _use_scope_manager, _instrument, _follow, _sample, _watch):
            with _guard.Harmless(f"init_from_conf.{step.__name__}"):  # what one cannot do, the others still can
                step(conf)


def _isolate(conf: cfg.ConfigOpts) -> None:
    isolation.install()


def _flush_at_exit(conf: cfg.ConfigOpts) -> None:
    from osprofiler.opentracing_compat.reporting import exits, uwsgi

    exits.install()
    uwsgi.install()


def _watch(conf: cfg.ConfigOpts) -> None:
    conf.register_mutate_hook(_on_mutate)


def _option(conf: cfg.ConfigOpts, name: str, default: Any) -> Any:
    """An option of ``[profiler]``, or *default* where the service registered only those of osprofiler 4."""
    return getattr(conf.profiler, name, default)


def _settings_from(conf: cfg.ConfigOpts) -> dict[str, Any]:
    defaults = _settings.Settings()
    return {
        "hmac_keys": tuple(split(conf.profiler.hmac_keys or "")),
        "trust_incoming": _option(conf, "trust_incoming", defaults.trust_incoming),
        "propagation": tuple(_option(conf, "propagation", defaults.propagation)),
        "rpc_plain_peers": _option(conf, "rpc_plain_peers", defaults.rpc_plain_peers),
        "sampler": _option(conf, "sampler", defaults.sampler),
        "instrument": tuple(_option(conf, "instrument", defaults.instrument)),
        "queue_spans": _option(conf, "queue_spans", defaults.queue_spans),
        "queue_bytes": _option(conf, "queue_bytes", defaults.queue_bytes),
        "flush_interval_s": _option(conf, "flush_interval", defaults.flush_interval_s),
        "flush_timeout_s": _option(conf, "flush_timeout", defaults.flush_timeout_s),
    }


def _follow(conf: cfg.ConfigOpts) -> None:
    """Put the options that act outside the settings object into force."""
    if _settings.current().enabled:
        web.enable(conf.profiler.hmac_keys)
    else:
        web.disable()
    (requests.enable if conf.profiler.trace_requests else requests.disable)()


def _sample(conf: cfg.ConfigOpts) -> None:
    from osprofiler.opentracing_compat.sampling import sampler_for

    tracer = opentracing_compat.get_tracer()
    before = tracer.sampler
    try:
        tracer.sampler = sampler_for(_settings.current().sampler, tracer.service_name)
    except ValueError as fault:
        LOG.error("%s; nothing is sampled", fault)
        tracer.sampler = sampler_for("", tracer.service_name)
    before.close()


def _use_scope_manager(conf: cfg.ConfigOpts) -> None:
    path = _option(conf, "scope_manager", "")
    if not path:
        return
    module, _, name = path.partition(":")
    try:
        scope.use(getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError, TypeError, ValueError) as fault:
        LOG.error("[profiler] scope_manager = %s: %s; osprofiler's own is used", path, fault)


def _instrument(conf: cfg.ConfigOpts) -> None:
    for name in _settings.current().instrument:
        try:
            opentracing_compat.instrument(name)
        except ValueError as fault:
            LOG.error("[profiler] instrument: %s", fault)


def _on_mutate(conf: cfg.ConfigOpts, fresh: dict[tuple[str | None, str], tuple[Any, Any]]) -> None:
    """Follow a change of the configuration; *fresh* maps (group, option) to its old and new text in the file."""
    changed = {name for group, name in fresh if group == "profiler"}
    if not changed:
        return
    with _guard.Harmless("mutate"):
        before = _settings.current()
        # A service that was started without looking at ``enabled`` goes on until that is changed.
        enabled = conf.profiler.enabled if "enabled" in changed else before.enabled
        after = _settings.publish(enabled=enabled, **_settings_from(conf))
        if "trace_sqlalchemy" in changed:
            (sqlalchemy.enable if conf.profiler.trace_sqlalchemy else sqlalchemy.disable)()
        _follow(conf)
        if after.sampler != before.sampler:  # a new one starts anew, with a full bucket
            _sample(conf)
