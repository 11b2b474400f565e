# SPDX-License-Identifier: Apache-2.0
"""Print, as JSON, every public name of the installed osprofiler: this version or stock.

``public_names.json`` in this folder is its output under stock 4.4.0, with all extras installed. It
imports nothing of the tests, because it runs in stock's environment too.
"""

import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import pkgutil
import re
import sys
import types
from typing import Any

import osprofiler

#: Names that begin with an underscore, but are used by services and their clients.
_USED_ANYWAY = ("_Profiler", "_utils")


def _public(name: str) -> bool:
    return not name.startswith("_") or name in _USED_ANYWAY or name == "__init__"


def _modules() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(osprofiler.__path__, "osprofiler.")]
    return sorted(name for name in names if ".tests" not in name and all(map(_public, name.split("."))))


def _signature(f: Any) -> list[list[str]] | None:
    """(name, kind, default) of each parameter."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        [each.name, each.kind.name, "" if each.default is each.empty else _text(each.default)] for each in parameters
    ]


def _text(value: object) -> str:
    """``repr`` without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _class(cls: type) -> dict[str, Any]:
    members = {}
    for name in sorted(
        {name for base in cls.__mro__ if base.__module__.startswith("osprofiler") for name in vars(base)}
    ):
        if not _public(name):
            continue
        raw = inspect.getattr_static(cls, name)
        member = getattr(cls, name)
        kind = type(raw).__name__ if isinstance(raw, (staticmethod, classmethod, property)) else "method"
        if callable(member):
            members[name] = {"kind": kind, "parameters": _signature(member)}
        else:
            members[name] = {"kind": "attribute" if kind == "method" else kind}
    bases = [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__[1:] if base is not object]
    return {"kind": "class", "parameters": _signature(cls), "bases": bases, "members": members}


def _module(name: str) -> dict[str, Any]:
    module = importlib.import_module(name)
    names: dict[str, Any] = {}
    for key, value in vars(module).items():
        if not _public(key) or inspect.ismodule(value) or getattr(value, "__module__", name) != name:
            continue
        if inspect.isclass(value):
            names[key] = _class(value)
        elif callable(value):
            names[key] = {"kind": "function", "parameters": _signature(value)}
        elif key.isupper() and key != "TYPE_CHECKING" and isinstance(value, (str, int, float)):
            names[key] = {"kind": "constant", "value": repr(value)}
    return names


def _options() -> dict[str, Any]:
    from osprofiler import opts

    return {
        f"{group}.{option.name}": {
            "type": type(option).__name__,
            "default": repr(option.default),
            "deprecated": sorted(old.name for old in option.deprecated_opts),
            "secret": option.secret,
        }
        for group, options in opts.list_opts()
        for option in options
    }


def _entry_points() -> list[str]:
    points = importlib.metadata.distribution("osprofiler").entry_points
    return sorted(f"{point.group}: {point.name} = {point.value}" for point in points)


def table() -> dict[str, Any]:
    """The whole table."""
    return {
        "modules": {name: _module(name) for name in _modules()},
        "options": _options(),
        "entry points": _entry_points(),
    }


def _stand_in_for_hacking() -> None:
    """Stock's checks import a plug-in of flake8 only for a decorator that does nothing."""
    if importlib.util.find_spec("hacking") is None:
        package, core = types.ModuleType("hacking"), types.ModuleType("hacking.core")
        core.flake8ext = lambda f: f  # type: ignore[attr-defined]
        package.core = core  # type: ignore[attr-defined]
        sys.modules.update({"hacking": package, "hacking.core": core})


if __name__ == "__main__":
    _stand_in_for_hacking()
    json.dump(table(), sys.stdout, indent=1, sort_keys=True)
