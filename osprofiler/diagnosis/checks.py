# SPDX-License-Identifier: Apache-2.0
"""All checks of a service, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from osprofiler.diagnosis import keys, options, pipelines, queue, store, traced_layers, tracing
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig, Unusable


def run(
    config: ServiceConfig,
    *,
    others: Sequence[ServiceConfig] = (),
    paste: str | None = None,
    rate: float | None = None,
) -> Iterator[Result]:
    """Check the service of *config*.

    *others* are configurations of services of the same traces; *paste* is the PasteDeploy file, if the configuration
    does not name it; *rate* is the number of spans a second of one process. Raises Unusable if *paste* cannot be read.
    """
    checks: tuple[tuple[str, Callable[[], Iterable[Result]]], ...] = (
        ("options", lambda: options.check(config)),
        ("enabled", lambda: tracing.check(config)),
        ("layers", lambda: traced_layers.check(config)),
        ("keys", lambda: keys.check(config, others)),
        ("paste", lambda: pipelines.check(config, paste)),
        ("queue", lambda: queue.check(config, rate)),
        ("store", lambda: store.check(config)),
    )
    for name, check in checks:
        try:
            yield from check()
        except Unusable:
            raise
        except Exception as fault:
            # Without its text, which may contain anything.
            text = f"could not be checked: {type(fault).__name__}"
            yield Result(name, Status.FAIL, text, "this is an error of osprofiler: report it")
