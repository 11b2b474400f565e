# SPDX-License-Identifier: Apache-2.0
"""Random fork and join programs over mixed execution models: what they are, how they run, what must come of them."""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import eventlet
from hypothesis import strategies as st

from osprofiler import profiler
from osprofiler.concurrency import carrier
from osprofiler.concurrency.fork import Fork

Work = Callable[[], object]
Node = tuple[str, str | None, str | None]  # name, name of the parent, reference


@dataclass
class Branch:
    """Work that runs in *model*, one of :data:`MODELS` or ``process``."""

    model: str
    fails: bool
    inside: list["Step"]
    name: str = ""


@dataclass
class Step:
    """A point that forks once or not at all, and then has further points inside."""

    detached: bool = False
    joins: bool = True
    branches: list[Branch] = field(default_factory=list)
    inside: list["Step"] = field(default_factory=list)
    name: str = ""


MODELS = ("inline", "thread", "green", "pool", "task", "carrier", "never")

steps = st.recursive(
    st.builds(Step),
    lambda inner: st.builds(
        Step,
        detached=st.booleans(),
        joins=st.booleans(),
        branches=st.lists(
            st.builds(Branch, model=st.sampled_from(MODELS), fails=st.booleans(), inside=st.lists(inner, max_size=2)),
            max_size=3,
        ),
        inside=st.lists(inner, max_size=2),
    ),
    max_leaves=12,
)


def number(step: Step, names: Iterator[int] | None = None) -> Step:
    """Give every point and branch of a program a name of its own."""
    names = names or count()
    step.name = f"step {next(names)}"
    for branch in step.branches:
        branch.name = f"branch {next(names)}"
        for inner in branch.inside:
            number(inner, names)
    for inner in step.inside:
        number(inner, names)
    return step


# Running


def run(step: Step) -> None:
    """Run a program under the current point."""
    with profiler.Trace(step.name):
        if step.branches:
            fork = profiler.fork(f"fork of {step.name}", detached=step.detached)
            waits = [_start(fork, branch) for branch in step.branches]
            for wait in waits:
                wait()
            if step.joins:
                fork.join()
        for inner in step.inside:
            run(inner)


def _start(fork: Fork, branch: Branch) -> Work:
    """Start a branch; what waits for it."""

    def work() -> None:
        for step in branch.inside:
            run(step)
        if branch.fails:
            raise LookupError(branch.name)

    if branch.model == "carrier":
        fields = fork.to_carrier(branch.name)
        return _thread(lambda: _in_carrier(fields, work))
    wrapped = fork.wrap(work, branch.name)
    if branch.model == "never":
        return lambda: None
    if branch.model == "inline":
        _quietly(wrapped)
        return lambda: None
    if branch.model == "task":
        return _thread(lambda: asyncio.run(_in_task(wrapped)))
    if branch.model == "green":
        green = eventlet.spawn(wrapped)
        return lambda: _quietly(green.wait)
    if branch.model == "pool":
        pool = ThreadPoolExecutor(1)
        pool.submit(wrapped)
        return pool.shutdown
    if branch.model == "process":
        process = multiprocessing.get_context("fork").Process(target=wrapped)
        process.start()
        return process.join
    return _thread(wrapped)


def _thread(work: Work) -> Work:
    thread = threading.Thread(target=_quietly, args=(work,))
    thread.start()
    return thread.join


def _quietly(work: Work) -> None:
    try:
        work()
    except LookupError:
        pass


def _in_carrier(fields: dict[str, str], work: Work) -> None:
    with carrier.entered(fields):
        work()


async def _in_task(work: Work) -> None:
    async def call() -> None:
        await asyncio.sleep(0)
        work()

    await asyncio.wait([asyncio.create_task(call()), asyncio.create_task(asyncio.sleep(0))])


# What must come of it


def expected(step: Step, above: str | None = None, reference: str | None = None) -> Iterator[Node]:
    """Every span of a program but its joins."""
    yield step.name, above, reference
    for branch in step.branches:
        if branch.model != "never":
            yield branch.name, step.name, "follows_from" if step.detached else "child_of"
            for inner in branch.inside:
                yield from expected(inner, branch.name, "child_of")
    for inner in step.inside:
        yield from expected(inner, step.name, "child_of")


@dataclass(frozen=True)
class Join:
    """A join's place, what it references, and how many branches it tells to have gone another way."""

    above: str
    joins: frozenset[str]
    never: int
    failed: int
    elsewhere: int


def expected_joins(step: Step) -> Iterator[Join]:
    """Every join of a program."""
    if step.branches and step.joins:
        sent = [branch for branch in step.branches if branch.model in ("carrier", "process")]
        seen = [branch for branch in step.branches if branch.model not in ("carrier", "process", "never")]
        yield Join(
            step.name,
            frozenset(branch.name for branch in sent + seen),
            never=len(step.branches) - len(sent) - len(seen),
            failed=sum(branch.fails for branch in seen),
            elsewhere=len(sent),
        )
    for branch in step.branches:
        if branch.model != "never":
            for inner in branch.inside:
                yield from expected_joins(inner)
    for inner in step.inside:
        yield from expected_joins(inner)


def failing(step: Step) -> Iterator[str]:
    """The names of the branches that fail."""
    for branch in step.branches:
        if branch.model != "never":
            if branch.fails:
                yield branch.name
            for inner in branch.inside:
                yield from failing(inner)
    for inner in step.inside:
        yield from failing(inner)
