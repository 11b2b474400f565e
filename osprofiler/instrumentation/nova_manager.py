# SPDX-License-Identifier: Apache-2.0
"""Trace points of nova-compute: the steps of its manager, its resource claims, the calls of its virt driver."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from osprofiler.handlers.call import Definition
from osprofiler.instrumentation.class_decorators import Traceable, decorate_methods
from osprofiler.instrumentation.decorators import trace

#: The name of the trace point of a step inside ComputeManager, and of a call of the virt driver.
STEP = "compute"
DRIVER = "virt"

_ALL_DRIVERS = "nova.virt.driver"

# Private methods of ComputeManager in which a build, a resize, a migration or a deletion spends its time. Its public
# methods are trace points already.
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
    """Make the work of a compute *manager* trace points. A manager of another service stays unchanged."""
    driver = getattr(manager, "driver", None)
    if driver is None:
        return  # not a compute service
    _trace_methods(type(manager), STEP, lambda name, _: name in STEPS)
    # The base class of all drivers has a method for each thing that a driver lacks; most raise NotImplementedError.
    _trace_methods(type(driver), DRIVER, lambda name, module: not name.startswith("_") and module != _ALL_DRIVERS)
    tracker = getattr(manager, "rt", None)
    if tracker is not None:
        _trace_methods(type(tracker), STEP, lambda name, _: name.endswith("_claim"))


def _trace_methods(cls: type, name: str, is_wanted: Callable[[str, str], bool]) -> None:
    """Make methods of *cls*, also inherited ones, trace points called *name*.

    *is_wanted* decides by the name of the method and its module. The arguments are not recorded: some are passwords.
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
        if is_wanted(attribute, function.__module__):
            methods[attribute] = Traceable(method, definition)
    decorate_methods(cls, methods, trace(name, hide_args=True), allow_multiple=True)
