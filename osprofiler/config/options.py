# SPDX-License-Identifier: Apache-2.0
"""Read the options of an oslo.config configuration into settings."""

from __future__ import annotations

import difflib
import glob
import logging
import os
from collections.abc import Collection
from typing import Any

from oslo_config import cfg

from osprofiler.config.row import rows, settings
from osprofiler.config.table import Settings

LOG = logging.getLogger(__name__)


def read(conf: cfg.ConfigOpts, changed: Collection[str] = (), table: type = Settings) -> dict[str, Any]:
    """The settings in *conf*, by name.

    *changed*: the names of the options that have changed since the start (see :attr:`Row.once_changed`).
    """
    values = {
        name: value(conf, name, table)
        for name, row in settings(table).items()
        if row.kind.option is not None and (not row.once_changed or row.name in changed)
    }
    if not values["hmac_keys"]:
        LOG.warning("[profiler] hmac_keys is empty: nobody can ask for a trace")
    return values


def value(conf: cfg.ConfigOpts, name: str, table: type = Settings) -> Any:
    """The value of one option, the attribute *name* of *table*.

    If the value cannot be used, one line is logged, and the default is returned. The default is also returned if the
    option is not registered: a service may have registered only the options of osprofiler 4.
    """
    row = rows(table)[name]

    def complain(text: str) -> None:
        LOG.error("[%s] %s: %s", row.group, row.name, text)

    try:
        return row.read(getattr(conf[row.group], row.name, row.default), complain)
    except ValueError as error:
        complain(f"{str(error).partition(chr(10))[0]}; the default {row.default!r} is used")
        return row.value


def name_unknown(conf: cfg.ConfigOpts) -> None:
    """Warn of unknown names in our groups in the configuration files: oslo.config ignores them."""
    deprecated = {row.deprecated_name for row in rows(Settings).values() if row.deprecated_name}
    groups = {row.group for row in rows(Settings).values()}
    for file in _files(conf):
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(file, sections).parse()
        for group in sorted(groups):
            known = {*(conf.get(group, ())), *deprecated}
            for name in sections.get(group, {}).keys() - known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                LOG.warning("[%s] %s in %s is not an option of this service%s", group, name, file, hint)


def _files(conf: cfg.ConfigOpts) -> list[str]:
    """The files from which *conf* was read."""
    files = list(getattr(conf, "config_file", None) or ())
    for folder in getattr(conf, "config_dir", None) or ():
        files += sorted(glob.glob(os.path.join(glob.escape(folder), "*.conf")))
    return files
