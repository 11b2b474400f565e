# SPDX-License-Identifier: Apache-2.0
"""The section ``keys`` of a policy: keys that can do less than those of ``hmac_keys``.

::

    keys:
      support:                                # its name, in tags and counters
        secret_file: /etc/osprofiler/support.key
        rate: ratelimiting:2                  # traces a second in each process; or a share: probabilistic:0.1
        max_age: 300                          # seconds since the request was signed
        until: 2026-12-24T12:00Z              # its end
        may: [sql, arguments]                 # beyond the trace itself
        projects: [demo, 8a1b2c3d]            # whose requests it is for, by name or id; the same with users
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from osprofiler.config import sampler_spec
from osprofiler.config.limited_key import SHORT_BYTES, LimitedKey, is_default, is_short
from osprofiler.config.policy_nodes import Mistakes, listed, moment, pairs, plain
from osprofiler.config.table import asked

if TYPE_CHECKING:
    import yaml

LOG = logging.getLogger(__name__)

#: The longest secret that is read from a file; a longer file is probably not a key.
_MAX_SECRET_CHARS = 4096

#: What every key may ask for; ``may`` can name it, but need not.
TRACE = "trace"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.A)


def read(node: yaml.Node, table: type, mistakes: Mistakes) -> list[LimitedKey]:
    """The keys in the section *node*.

    A key whose secret is in a file that cannot be used is left out, with one line in the log: on this host it counts
    for nothing, and the rest of the policy is in force.
    """
    keys: list[LimitedKey] = []
    names: dict[str, str] = {}
    for name, entry in pairs(node, "keys", mistakes):
        key = _key(name.value, entry, mistakes)
        if key is None:
            continue
        if (other := names.setdefault(key.secret, key.name)) != key.name:
            mistakes.add(name, f"the keys {other} and {key.name} have the same secret")
        keys.append(key)
    return keys


def _key(name: str, entry: yaml.Node, mistakes: Mistakes) -> LimitedKey | None:
    values: dict[str, Any] = {}
    if not _NAME.fullmatch(name):
        mistakes.add(entry, f"keys: {name!r} is no name: letters, digits, - and _ are wanted")
    for field, node in pairs(entry, name, mistakes):
        reader = _READERS.get(field.value)
        if reader is None:
            mistakes.add(field, f"{name}: {field.value!r} is not known; known are {', '.join(_READERS)}")
            continue
        attribute, convert = reader
        try:
            values[attribute] = convert(plain(node))
        except ValueError as error:
            mistakes.add(node, f"{name}: {field.value}: {error}")
            values[attribute] = None
    if ("secret" in values) == (_FILE in values):
        mistakes.add(entry, f"{name}: a key needs one of secret and secret_file")
    if mistakes:
        return None
    path = values.pop(_FILE, None)
    try:
        return LimitedKey(name, values.pop("secret", None) or _read(path), **values)
    except (OSError, ValueError) as fault:
        reason = "not text in UTF-8" if isinstance(fault, UnicodeDecodeError) else getattr(fault, "strerror", fault)
        LOG.error("the key %s of the policy is not used: %s: %s", name, path, reason)
        return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        text = file.read(_MAX_SECRET_CHARS + 1)
    if len(text) > _MAX_SECRET_CHARS:
        raise ValueError(f"longer than {_MAX_SECRET_CHARS:,} characters")
    return _secret(text.strip())


def _secret(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that only the users of the key know")
    if is_default(value):
        raise ValueError("this is the default of hmac_keys, which everybody knows")
    if is_short(value):
        raise ValueError(f"shorter than {SHORT_BYTES} bytes: it may be guessed")
    return value


def _secret_file(value: Any) -> str:
    if not isinstance(value, str) or not os.path.isabs(value):
        raise ValueError("must be the absolute path of a file that holds the secret")
    return value


def _rate(value: Any) -> str:
    return sampler_spec.local(value if isinstance(value, str) else "")


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ValueError("must be a number of seconds")
    return seconds


def _until(value: Any) -> float:
    return moment(value).timestamp()


def _may(value: Any) -> frozenset[str]:
    known = asked()
    names = listed(value)
    unknown = [name for name in names if name != TRACE and name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known; known are {TRACE}, {', '.join(known)}")
    return frozenset(names) - {TRACE}


def _names(value: Any) -> frozenset[str]:
    names = listed(value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("must be a list of names or ids")
    return frozenset(names)


_FILE = "secret_file"

#: For each field: its attribute of a key, and a function that gets its value, as ``kinds.Kind.from_policy`` does. The
#: function raises ValueError, one line that does not show the value of a secret.
_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "secret": ("secret", _secret),
    "secret_file": (_FILE, _secret_file),
    "rate": ("rate", _rate),
    "max_age": ("max_age_s", _seconds),
    "clock_skew": ("clock_skew_s", _seconds),
    "until": ("until_s", _until),
    "may": ("may", _may),
    "projects": ("projects", _names),
    "users": ("users", _names),
}
