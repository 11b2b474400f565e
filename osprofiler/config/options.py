# SPDX-License-Identifier: Apache-2.0
"""Read the options of an oslo.config configuration into settings."""

from __future__ import annotations

import difflib
import glob
import logging
import os
from collections.abc import Collection, Iterator
from typing import Any

from oslo_config import cfg

from osprofiler.config.kinds import Complain
from osprofiler.config.limited_key import is_default, is_short, size
from osprofiler.config.row import rows, settings
from osprofiler.config.table import Settings
from osprofiler.connection.secrets import MASK

LOG = logging.getLogger(__name__)


def read(conf: cfg.ConfigOpts, changed: Collection[str] = (), table: type = Settings) -> dict[str, Any]:
    """The settings in *conf*, by name.

    *changed*: the names of the options that have changed since the start (see :attr:`Row.false_once_changed`).
    """
    described = settings(table)
    values = {name: value(conf, name, table) for name, row in described.items() if row.kind.option is not None}
    for name, row in described.items():
        if row.false_once_changed and not values[name] and row.name not in changed:
            del values[name]
    if not values["hmac_keys"]:
        LOG.warning("[profiler] hmac_keys is empty: nobody can ask for a trace")
    return values


def value(conf: cfg.ConfigOpts, name: str, table: type = Settings, complain: Complain | None = None) -> Any:
    """The value of one option, the attribute *name* of *table*.

    If the value cannot be used, one line is logged, or given to *complain*, and the default is returned. The default is
    also returned if the option is not registered: a service may have registered only the options of osprofiler 4. Keys
    that cannot be used are no keys.
    """
    row = rows(table)[name]

    def tell(text: str) -> None:
        (complain or LOG.error)(f"[{row.group}] {row.name}: {text}")

    group = conf[row.group]
    try:
        return row.read(getattr(group, row.name) if row.name in group else row.default, tell)
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError):  # their texts quote the value, which may be secret
        reason = "$ begins the name of an option, write $$ for the character"
    except ValueError as error:
        # oslo.config's text begins with the name and the place.
        reason = (str(error).partition("is not valid: ")[2] or str(error)).partition("\n")[0]
    if name == "hmac_keys":  # never a key that everybody knows
        tell(f"{reason}; there is no key")
        return ()
    tell(f"{reason}; the default {row.default!r} is used")
    return row.value


def name_weak_keys(conf: cfg.ConfigOpts) -> None:
    """Warn of keys in a service that is traced that are no secrets: the default one, and short ones."""
    keys: tuple[str, ...] = value(conf, "hmac_keys") if value(conf, "enabled") else ()
    for key in keys:
        if is_default(key):
            LOG.warning("[profiler] hmac_keys has the default key, which everybody knows: anybody can ask for a trace")
        elif is_short(key):
            LOG.warning("[profiler] hmac_keys has a key of only %d bytes: it may be guessed", size(key))


def name_unknown(conf: cfg.ConfigOpts) -> None:
    """Warn of unknown names in our groups in the configuration files: oslo.config ignores them."""
    for line in unknown(conf):
        LOG.warning("%s", line)


def unknown(conf: cfg.ConfigOpts, of_service: Collection[str] = ()) -> Iterator[str]:
    """One line for each unknown name in our groups in the configuration files.

    *of_service*: the options that the service itself would register in our groups.
    """
    for file, group, names in _assignments(conf):
        known = {*(conf.get(group, ())), *_deprecated_names(group), *of_service}
        for name in sorted(names - known):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            # Another form is perhaps a key on a line of its own.
            shown = name if name.replace("-", "_").isidentifier() and name == name.lower() else MASK
            yield f"[{group}] {shown} in {file} is not an option of this service{hint}"


def deprecated(conf: cfg.ConfigOpts) -> Iterator[str]:
    """A line for each option in the configuration's files that has a deprecated name."""
    for file, group, names in _assignments(conf):
        for name, now in _deprecated_names(group).items():
            if name in names:
                yield f"[{group}] {name} in {file} is deprecated: its name is {now}"


def _deprecated_names(group: str) -> dict[str, str]:
    """The deprecated names of the options of *group*, with the names that they have now."""
    named = (row for row in rows(Settings).values() if row.group == group)
    return {row.deprecated_name: row.name for row in named if row.deprecated_name}


def _assignments(conf: cfg.ConfigOpts) -> Iterator[tuple[str, str, set[str]]]:
    """The names that each file of the configuration sets in each of our groups."""
    groups = sorted({row.group for row in rows(Settings).values()})
    for file, sections in _parsed(conf):
        for group in groups:
            if group in sections:
                yield file, group, set(sections[group])


def texts(conf: cfg.ConfigOpts) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Group and name, text and file of each option in the configuration's files, of any package.

    A later one overrides an earlier one.
    """
    for file, sections in _parsed(conf):
        for group, options in sections.items():
            for name, values in options.items():
                yield (group, name), (str(values[-1]), file)


def _parsed(conf: cfg.ConfigOpts) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    for file in files(conf):
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(file, sections).parse()
        yield file, sections


def files(conf: cfg.ConfigOpts) -> list[str]:
    """The files from which *conf* was read, in their order."""
    names = list(getattr(conf, "config_file", None) or ())
    for folder in getattr(conf, "config_dir", None) or ():
        names += sorted(glob.glob(os.path.join(glob.escape(folder), "*.conf")))
    return names
