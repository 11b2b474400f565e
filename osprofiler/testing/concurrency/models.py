# SPDX-License-Identifier: Apache-2.0
"""Every execution model that osprofiler supports: the rows of the table."""

from __future__ import annotations

import asyncio

from osprofiler.testing.concurrency import greenthreads, openstack, processes, tasks, threads
from osprofiler.testing.concurrency.model import Model

MODELS: tuple[type[Model], ...] = (
    threads.Threads,
    threads.Timers,
    threads.FutureThreads,
    threads.FutureMap,
    threads.DoneCallbacks,
    processes.ProcessPool,
    processes.SpawnedProcessPool,
    processes.ProcessPoolMap,
    processes.Processes,
    processes.SpawnedProcesses,
    processes.MultiprocessingPool,
    processes.MultiprocessingMap,
    processes.BareFork,
    processes.Subprocesses,
    tasks.Tasks,
    tasks.Gathered,
    *((tasks.TaskGroups,) if hasattr(asyncio, "TaskGroup") else ()),
    tasks.LoopExecutor,
    tasks.ToThread,
    tasks.LoopCallbacks,
    tasks.TaskCallbacks,
    greenthreads.GreenThreads,
    greenthreads.DelayedGreenThreads,
    greenthreads.BareGreenlets,
    greenthreads.GreenPools,
    greenthreads.GreenPoolBare,
    greenthreads.GreenPoolMap,
    greenthreads.GreenPiles,
    greenthreads.GreenLinks,
    greenthreads.NativePool,
    greenthreads.PatchedThreads,
    greenthreads.PatchedFutures,
    openstack.FuturistThreads,
    openstack.FuturistGreen,
    openstack.FuturistProcesses,
    openstack.FuturistSynchronous,
    openstack.FuturistPeriodic,
    openstack.LoopingCalls,
    openstack.GreenLoopingCalls,
    openstack.ThreadGroups,
    openstack.GreenThreadGroups,
    openstack.ProcessUtils,
    openstack.OpenstackSdk,
)
