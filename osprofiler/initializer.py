# SPDX-License-Identifier: Apache-2.0
"""Turn tracing on for a service from its configuration, and follow that configuration as it changes."""

from __future__ import annotations

import difflib
import glob
import importlib
import logging
import math
import os
import re
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from osprofiler import config, notifier, requests, sqlalchemy, web
from osprofiler._runtime import guard
from osprofiler._utils import split
from osprofiler.concurrency import isolation
from osprofiler.config import policy
from osprofiler.config.policy_file import PolicyFile
from osprofiler.context import scope
from osprofiler.instrumentation import registry
from osprofiler.tracer import global_tracer

LOG = logging.getLogger(__name__)

# Former names of options.
_RENAMED = ("profiler_enabled",)

# What the options say, and the file whose policy goes before them.
_configured: dict[str, Any] = {}
# Without keys at the start those in the paste file count, as with osprofiler 4. Once somebody has taken the keys away,
# nobody may ask.
_keys_changed = False
_policy_file: PolicyFile | None = None


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
    global _configured, _keys_changed
    with guard.Harmless("init_from_conf"):
        _configured = {"enabled": True, "trace_sqlalchemy": None, **_settings_from(conf)}
        _keys_changed = False
        config.publish(**_configured)
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
            _name_unknown,
            _isolate,
            _flush_at_exit,
            _use_scope_manager,
            _instrument,
            _sample,
            _read_policy,
            _follow,
            _watch,
        ):
            with guard.Harmless(f"init_from_conf.{step.__name__}"):  # what one cannot do, the others still can
                step(conf)


def _name_unknown(conf: cfg.ConfigOpts) -> None:
    """Warn of what stands in our groups of the configuration's files and is not an option: oslo.config says nothing."""
    for file in _files(conf):
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(file, sections).parse()
        for group in ("profiler", "profiler_jaeger", "profiler_otlp"):
            known = {*(conf.get(group, ())), *_RENAMED}
            for name in sections.get(group, {}).keys() - known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f"; did you mean {near[0]}?" if near else ""
                LOG.warning("[%s] %s in %s is not an option of this service%s", group, name, file, meant)


def _files(conf: cfg.ConfigOpts) -> list[str]:
    """The files that *conf* was read from."""
    files = list(getattr(conf, "config_file", None) or ())
    for folder in getattr(conf, "config_dir", None) or ():
        files += sorted(glob.glob(os.path.join(glob.escape(folder), "*.conf")))
    return files


def _isolate(conf: cfg.ConfigOpts) -> None:
    isolation.install()


def _flush_at_exit(conf: cfg.ConfigOpts) -> None:
    from osprofiler.delivery import exits, uwsgi

    exits.install()
    uwsgi.install(global_tracer.flush)


def _watch(conf: cfg.ConfigOpts) -> None:
    conf.register_mutate_hook(_on_mutate)


def _option(conf: cfg.ConfigOpts, name: str, default: Any) -> Any:
    """An option of ``[profiler]``; *default* for a value that is none, and where only osprofiler 4's are registered."""
    try:
        value = getattr(conf.profiler, name, default)
        if isinstance(value, float) and not math.isfinite(value):  # which no limit of oslo.config keeps out
            raise ValueError(f"{value} is no time")
    except ValueError as fault:
        LOG.error("[profiler] %s: %s; %r is used", name, str(fault).partition("\n")[0], default)
        return default
    return value


def _settings_from(conf: cfg.ConfigOpts) -> dict[str, Any]:
    defaults = config.Settings()
    keys = tuple(split(conf.profiler.hmac_keys or ""))
    if not keys:
        LOG.warning("[profiler] hmac_keys is empty: nobody can ask for a trace")
    return {
        "hmac_keys": keys,
        "trust_incoming": _option(conf, "trust_incoming", False),
        "propagation": _formats(_option(conf, "propagation", defaults.propagation)),
        "rpc_plain_peers": _option(conf, "rpc_plain_peers", defaults.rpc_plain_peers),
        "sampler": _option(conf, "sampler", defaults.sampler),
        "operations": defaults.operations,
        "trace_requests": _option(conf, "trace_requests", defaults.trace_requests),
        "trace_arguments": _option(conf, "trace_arguments", defaults.trace_arguments),
        "mask_secrets": _option(conf, "mask_secrets", defaults.mask_secrets),
        "mask_names": tuple(_option(conf, "mask_names", defaults.mask_names)),
        "mask_patterns": _patterns(_option(conf, "mask_patterns", defaults.mask_patterns)),
        "instrument": tuple(_option(conf, "instrument", defaults.instrument)),
        "queue_spans": _option(conf, "queue_spans", defaults.queue_spans),
        "queue_bytes": _option(conf, "queue_bytes", defaults.queue_bytes),
        "flush_interval_s": _option(conf, "flush_interval", defaults.flush_interval_s),
        "flush_timeout_s": _option(conf, "flush_timeout", defaults.flush_timeout_s),
    }


def _formats(names: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in policy.FORMATS]
    if unknown:
        LOG.error("[profiler] propagation: there is no %s; known are %s", unknown[0], ", ".join(policy.FORMATS))
    return tuple(name for name in names if name not in unknown)


def _patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    usable = []
    for pattern in patterns:
        try:
            re.compile(pattern)
            usable.append(pattern)
        except (re.error, OverflowError, RecursionError) as fault:
            LOG.error("[profiler] mask_patterns: %r is not used: %s", pattern, fault)
    return tuple(usable)


def _read_policy(conf: cfg.ConfigOpts) -> None:
    """Begin to follow the policy file that *conf* names now, if it names one."""
    global _policy_file
    path = _option(conf, "policy_file", "")
    _policy_file = PolicyFile(path, _put_in_force) if path else None
    config.watch(_policy_file.look if _policy_file else None)
    if _policy_file:
        _policy_file.read()


def _follow(conf: cfg.ConfigOpts) -> None:
    _put_in_force()


def _put_in_force() -> None:
    """Publish what the options and the policy say, and do what acts outside the settings object."""
    before = config.current()
    said = _policy_file.policy.of(global_tracer.get_tracer().service_name) if _policy_file else {}
    after = config.publish(**{**_configured, **said})
    if after.enabled:
        web.enable(",".join(after.hmac_keys))
        if _keys_changed:
            web.use_keys(after.hmac_keys)
    else:
        web.disable()
    (requests.enable if after.trace_requests else requests.disable)()
    if after.trace_sqlalchemy != before.trace_sqlalchemy:
        (sqlalchemy.disable if after.trace_sqlalchemy is False else sqlalchemy.enable)()
    if (after.sampler, after.operations) != (before.sampler, before.operations):
        _sample()  # a new sampler starts anew, with a full bucket


def _sample(conf: cfg.ConfigOpts | None = None) -> None:
    from osprofiler.tracer.sampling import sampler_of

    tracer = global_tracer.get_tracer()
    before, tracer.sampler = tracer.sampler, sampler_of(config.current(), tracer.service_name)
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
    for name in config.current().instrument:
        try:
            registry.instrument(name)
        except ValueError as fault:
            LOG.error("[profiler] instrument: %s", fault)


def _on_mutate(conf: cfg.ConfigOpts, fresh: dict[tuple[str | None, str], tuple[Any, Any]]) -> None:
    """Follow a change of the configuration; *fresh* maps (group, option) to its old and new text in the file."""
    global _keys_changed
    changed = {name for group, name in fresh if group == "profiler"}
    if not changed:
        return
    with guard.Harmless("mutate"):
        _configured.update(_settings_from(conf))
        # A service that was started without looking at these goes on as it does until they are changed.
        for name in {"enabled", "trace_sqlalchemy"} & changed:
            _configured[name] = _option(conf, name, False)
        _keys_changed = _keys_changed or "hmac_keys" in changed
        if "policy_file" in changed:
            _read_policy(conf)
        _put_in_force()
