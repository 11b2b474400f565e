# SPDX-License-Identifier: Apache-2.0
"""Reads the options of a configuration of oslo.config into settings."""

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
    """The settings that *conf* has, by their names.

    *changed* are the options that have changed since the start: see :attr:`Row.once_changed`.
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
    """The value of one option, which is the attribute *name* of *table*.

    The default, with a line in the log, for a value that cannot be used; and where only osprofiler 4's options are
    registered.
    """
    row = rows(table)[name]

    def complain(text: str) -> None:
        LOG.error("[%s] %s: %s", row.group, row.name, text)

    try:
        return row.read(getattr(conf[row.group], row.name, row.default), complain)
    except ValueError as error:
        complain(f"{str(error).partition(chr(10))[0]}; {row.default!r} is used")
        return row.value


def name_unknown(conf: cfg.ConfigOpts) -> None:
    """Warn of names in our groups of the configuration's files that are not options: oslo.config ignores them."""
    deprecated = {row.deprecated_name for row in rows(Settings).values() if row.deprecated_name}
    groups = {row.group for row in rows(Settings).values()}
    for file in _files(conf):
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(file, sections).parse()
        for group in sorted(groups):
            known = {*(conf.get(group, ())), *deprecated}
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
