# SPDX-License-Identifier: Apache-2.0
"""What the patches of nova call: its RPC, its hand-over of work to executors, its cells, its builds and virt driver.

The patched lines of nova ask :data:`on` first, which costs no call; so with ``[profiler] enabled = false`` none of
ours runs in a service.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from osprofiler import initializer, messaging, profiler
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch_callable import BranchCallable
from osprofiler.concurrency.fork import Fork, hand_over
from osprofiler.context import current
from osprofiler.instrumentation import registry
from osprofiler.instrumentation.decorators import Definition, trace

__all__ = ["Cells", "get", "handed_over", "init_from_conf", "inject", "instrument", "on", "receive"]

#: Whether this process may be traced: what ``[profiler] enabled`` said when nova made its RPC clients and servers.
on = True

get = profiler.get

#: Trace point of a step inside ComputeManager, and of a call of the virt driver.
STEP = "compute"
DRIVER = "virt"

_ALL_DRIVERS = "nova.virt.driver"

# Work, by its function's name, whose spawner goes on without it: it follows from the request, which ends before.
_NOBODY_WAITS_FOR = frozenset(
    (
        "_async_init_instance_info",
        "_do_live_migration",
        "_locked_do_build_and_run_instance",
        "_sync",
        "do_snapshot_instance",
    )
)

# ComputeManager's steps that its public methods, which are trace points by themselves, hand on to: where a build, a
# resize, a migration or a deletion spends its time.
_STEPS = (
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

_serializer = messaging.TracingSerializer()

# The start of a service


def instrument(conf: Any) -> None:
    """Trace the process's RPC clients and servers, if *conf* lets this service be traced. Sets :data:`on`."""
    global on
    with guard.Harmless("nova.instrument"):
        on = "profiler" in conf and bool(conf.profiler.enabled)
        if on:
            messaging.instrument()


def init_from_conf(conf: Any, manager: Any = None, **kwargs: Any) -> None:
    """Turn tracing on for a nova service, as ``initializer.init_from_conf`` does; only with profiling enabled.

    Outgoing REST requests are trace points unless the configuration says otherwise. Looping calls, in which nova
    retries and polls, stay in the request that starts them. Of a compute *manager* the steps of its work and its
    driver's calls become trace points.
    """
    with guard.Harmless("nova.init_from_conf"):
        conf.set_default("trace_requests", True, group="profiler")
    initializer.init_from_conf(conf=conf, **kwargs)
    instrument(conf)
    with guard.Harmless("nova.looping_calls"):
        registry.instrument("oslo_service")
    with guard.Harmless("nova.networks"):
        _networks.install()
    with guard.Harmless("nova.trace_manager"):
        _trace_manager(manager)


def _trace_manager(manager: Any) -> None:
    driver = getattr(manager, "driver", None)
    if driver is None:
        return  # not a compute service
    _trace_methods(type(manager), STEP, lambda name, _: name in _STEPS)
    # What a driver does not have, the class of all drivers answers, often with NotImplementedError.
    _trace_methods(type(driver), DRIVER, lambda name, module: not name.startswith("_") and module != _ALL_DRIVERS)
    tracker = getattr(manager, "rt", None)
    if tracker is not None:
        _trace_methods(type(tracker), STEP, lambda name, _: name.endswith("_claim"))


def _trace_methods(cls: type, name: str, wanted: Callable[[str, str], bool]) -> None:
    """Make trace points called *name* of a class's methods, inherited ones too, that are *wanted* by their name and
    module. Passwords are among their arguments, so these stay out.
    """
    decorate = trace(name, hide_args=True)
    definitions: dict[str, Definition] = {}
    for owner in cls.__mro__:
        for attribute in vars(owner):
            definitions.setdefault(attribute, Definition(owner, attribute))
    for attribute, definition in definitions.items():
        method = vars(definition.owner)[attribute]
        function = method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
        if not inspect.isfunction(function) or hasattr(function, "__traced__"):
            continue
        if wanted(attribute, function.__module__):
            setattr(cls, attribute, decorate(method, definition))


# RPC


def inject(context: Any) -> Any:
    """A copy of an RPC context that carries the current trace on."""
    return _serializer.serialize_context(context)


def receive(context: Any) -> Any:
    """A received RPC context without what :func:`inject` added, whose trace is now current, if there was one.

    Where the server is traced, it has seen to both before.
    """
    with guard.Harmless("nova.receive"):
        return _serializer.deserialize_context(context)
    return context


# Work that runs elsewhere


def handed_over(work: Callable[..., Any]) -> Callable[..., Any]:
    """*work* as a branch of the current trace, for the executor that will run it; *work* itself where none is on."""
    return hand_over("nova", work, detached=getattr(work, "__name__", "") in _NOBODY_WAITS_FOR)


def _asked_for(init: Method) -> Method:
    """A network that is asked for: a fork, of which nobody knows yet when, or whether, it will be waited for."""

    def run(self: Any, async_method: Any, /, *args: Any, **kwargs: Any) -> None:
        if current.point.get() is not None:
            fork = vars(self)[_FORK] = Fork("allocate network", detached=True)
            async_method = fork.wrap(async_method)
        init(self, async_method, *args, **kwargs)

    return run


def _waited_for(wait: Method) -> Method:
    """The first to wait for a network joins its fork: so the trace tells what the driver waited for."""

    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        fork = vars(self).pop(_FORK, None)
        try:
            return wait(self, *args, **kwargs)
        finally:
            if fork is not None:
                fork.join()

    return run


_FORK = "_osprofiler_fork"

_networks = Wrapping(
    Target("nova.network.model", "NetworkInfoAsyncWrapper", "__init__", _asked_for),
    Target("nova.network.model", "NetworkInfoAsyncWrapper", "wait", _waited_for),
)


class Cells:
    """The fork of one scatter over cells; :meth:`join` when its gathering has ended, whoever has answered by then."""

    def __init__(self) -> None:
        self._fork = Fork("scatter-gather")

    def work(self, cell_mapping: Any, gather: Callable[..., Any]) -> Callable[..., Any]:
        """*gather* as the branch of one cell."""
        if self._fork.at is None:
            return gather
        with guard.Harmless("nova.cells"):
            return _CellWork(gather, self._fork.branch(f"cell {_name_of(cell_mapping)}"))
        return gather

    def join(self) -> None:
        """Record which cells have answered, and name those that have not."""
        self._fork.join()


class _CellWork(BranchCallable):
    """Nova's gathering of one cell's result: it returns what the cell raised."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        self.branch.__enter__()
        fault: BaseException | None = None
        try:
            result = self.function(*args, **kwargs)
            fault = result if isinstance(result, Exception) else None
            return result
        except BaseException as raised:
            fault = raised
            raise
        finally:
            self.branch.__exit__(type(fault) if fault is not None else None, fault, None)


def _name_of(cell_mapping: Any) -> str:
    try:
        return str(cell_mapping.name or cell_mapping.uuid)
    except Exception:  # of an object that was loaded without it
        return str(cell_mapping.uuid)
