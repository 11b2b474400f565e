# SPDX-License-Identifier: Apache-2.0
"""oslo.versionedobjects: which method of which object a remote call runs.

A service without a database of its own, such as nova-compute, has all of these run by the few methods ``object_action``
and ``object_class_action_versions`` of another one. So the method of the call tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def action(arguments: Any) -> str | None:
    """``Instance.save`` and the like, by the *arguments* of a call; None for a call that runs no object's method."""
    if not isinstance(arguments, Mapping) or not isinstance(method := arguments.get("objmethod"), str):
        return None
    name = _class_name(arguments["objinst"]) if "objinst" in arguments else arguments.get("objname")
    return f"{name}.{method}" if isinstance(name, str) else method


def _class_name(instance: Any) -> Any:
    """The class of an object, or of what it is in a message: ``{"nova_object.name": "Instance", ...}``."""
    if isinstance(instance, Mapping):
        return next((value for key, value in instance.items() if str(key).endswith("_object.name")), None)
    return type(instance).__name__
