# SPDX-License-Identifier: Apache-2.0
"""A nova-compute's own work as trace points: the steps of its manager, its resource claims, its virt driver's calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from osprofiler.handlers.call import Definition
from osprofiler.instrumentation.class_decorators import Traceable, decorate_methods
from osprofiler.instrumentation.decorators import trace

#: Trace point of a step inside ComputeManager, and of a call of the virt driver.
STEP = "compute"
DRIVER = "virt"

_ALL_DRIVERS = "nova.virt.driver"

# ComputeManager's steps that its public methods, which are trace points by themselves, hand on to: where a build, a
# resize, a migration or a deletion spends its time.
STEPS = (
    "_allocate_network",
    "_allocate_network_async",
    "_attach_interface",
    "_attach_volume",
    "_build_and_run_instance",
    "_build_networks_for_instance",
    "_cleanup_allocated_networks",
    "_cleanup_volumes",
    "_complete_deletion",
    "_deallocate_network",
    "_default_block_device_names",
    "_delete_instance",
    "_detach_interface",
    "_detach_volume",
    "_do_build_and_run_instance",
    "_do_live_migration",
    "_do_pre_live_migration_from_source",
    "_do_rebuild_instance",
    "_do_snapshot_instance",
    "_do_swap_volume",
    "_finish_resize",
    "_finish_revert_resize",
    "_get_request_group_mapping",
    "_post_live_migration",
    "_prep_block_device",
    "_prep_resize",
    "_rebuild_default_impl",
    "_resize_instance",
    "_rollback_live_migration",
    "_shelve_instance",
    "_shelve_offload_instance",
    "_shutdown_instance",
    "_snapshot_instance",
    "_terminate_volume_connections",
    "_unshelve_instance",
    "_update_instance_after_spawn",
    "_update_scheduler_instance_info",
    "_validate_instance_group_policy",
)


def trace_manager(manager: Any) -> None:
    """Make trace points of what a compute *manager* does; anything else is left as it is."""
    driver = getattr(manager, "driver", None)
    if driver is None:
        return  # not a compute service
    _trace_methods(type(manager), STEP, lambda name, _: name in STEPS)
    # What a driver does not have, the class of all drivers answers, often with NotImplementedError.
    _trace_methods(type(driver), DRIVER, lambda name, module: not name.startswith("_") and module != _ALL_DRIVERS)
    tracker = getattr(manager, "rt", None)
    if tracker is not None:
        _trace_methods(type(tracker), STEP, lambda name, _: name.endswith("_claim"))


def _trace_methods(cls: type, name: str, wanted: Callable[[str, str], bool]) -> None:
    """Make trace points called *name* of a class's methods, inherited ones too, that are *wanted* by their name and
    module. Passwords are among their arguments, so these stay out.
    """
    definitions: dict[str, Definition] = {}
    for owner in cls.__mro__:
        for attribute in vars(owner):
            definitions.setdefault(attribute, Definition(owner, attribute))
    methods: dict[str, Traceable] = {}
    for attribute, definition in definitions.items():
        method = vars(definition.owner)[attribute]
        function = method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
        if not inspect.isfunction(function) or hasattr(function, "__traced__"):
            continue
        if wanted(attribute, function.__module__):
            methods[attribute] = Traceable(method, definition)
    decorate_methods(cls, methods, trace(name, hide_args=True), allow_multiple=True)
