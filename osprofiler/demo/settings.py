# SPDX-License-Identifier: Apache-2.0
"""The configuration of the demo's services: one oslo.config file for all services; it also turns tracing on.

A real service does the same: it registers the options, reads its files, and calls ``init_from_conf``.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from oslo_config import cfg

from osprofiler import initializer, opts

PROJECT = "demo"

#: The hosts that servers can be built on; each is a role of its own.
COMPUTES = ("compute-1", "compute-2")

#: What ``--fault`` can break.
FAULTS = ("image", "db", "compute")

#: The values of ``--model``: how a service works concurrently.
MODELS = ("threads", "asyncio", "eventlet")

_OPTIONS = [
    cfg.ListOpt("roles", default=[], help="The roles of this process; its service is named after the first."),
    cfg.StrOpt("image_url", default="", help="The URL of the image service."),
    cfg.StrOpt("api_url", default="", help="The URL of the API."),
    cfg.StrOpt("db_url", default="", help="The cloud's database, an SQLAlchemy URL."),
    cfg.StrOpt("fault", default="", choices=["", *FAULTS], help="The part that is broken."),
    cfg.StrOpt("model", default="threads", choices=MODELS, help="How the services work concurrently."),
    cfg.IntOpt("http_workers", default=8, help="Threads that serve HTTP, in the API and in the image service."),
    cfg.IntOpt("spawn_ms", default=60, help="How long the hypervisor takes to start the client's server."),
    cfg.IntOpt("timeout", default=60, help="Seconds until the client gives up waiting for its server."),
]


def write(path: Path, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write the configuration file *path*; *groups* maps a group's name to its options."""
    lines = []
    for group, options in groups.items():
        lines.append(f"[{group}]")
        lines += [f"{name} = {value.replace('$', '$$')}" for name, value in options.items()]
    path.touch(mode=0o600)  # it contains the key, and may contain passwords
    path.write_text("\n".join(lines) + "\n")


def load(arguments: Sequence[str]) -> cfg.ConfigOpts:
    """Read the configuration file in *arguments* and turn tracing on. The first role is the name of the service."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    conf = cfg.CONF  # oslo.messaging's clients only work with this one
    opts.set_defaults(conf)
    conf.register_cli_opts(_OPTIONS, group="demo")
    conf(list(arguments), project="osprofiler-demo", default_config_files=[])
    if opts.is_trace_enabled(conf):
        initializer.init_from_conf(conf, None, PROJECT, conf.demo.roles[0], socket.gethostname())
    return conf
