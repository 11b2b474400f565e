# SPDX-License-Identifier: Apache-2.0
"""jaeger-client's samplers with a limit of traces a second, on a clock that nobody sets.

jaeger-client measures the time between two requests with the clock of the system. If that is set back by an hour, the
limit has an hour to make up for, and nothing is sampled until then.
"""

from __future__ import annotations

from typing import Any

from jaeger_client.rate_limiter import RateLimiter
from jaeger_client.sampler import AdaptiveSampler, GuaranteedThroughputProbabilisticSampler, RateLimitingSampler

from osprofiler._runtime import clocks


class _Limiter(RateLimiter):
    @staticmethod
    def timestamp() -> float:
        return clocks.tick_ns() / 1e9


class PerSecond(RateLimitingSampler):
    """Samples at most so many traces a second."""

    rate_limiter: RateLimiter | None

    def _init(self, max_traces_per_second: float) -> None:
        if not self.rate_limiter:
            self.rate_limiter = _Limiter(max_traces_per_second, max(max_traces_per_second, 1.0))
        super()._init(max_traces_per_second)


class _AtLeast(GuaranteedThroughputProbabilisticSampler):
    """Samples a share of the requests of one operation, and at least so many a second."""

    def __init__(self, operation: str, lower_bound: float, rate: float) -> None:
        super().__init__(operation, lower_bound, rate)
        self.lower_bound_sampler = PerSecond(lower_bound)


class ByOperation(AdaptiveSampler):
    """Samples each operation by the strategy that Jaeger has for it, or by Jaeger's default."""

    samplers: dict[str, GuaranteedThroughputProbabilisticSampler]

    def __init__(self, strategies: dict[str, Any], max_operations: int) -> None:
        super().__init__(strategies, max_operations)
        self.samplers = {name: _AtLeast(name, self.lower_bound, each.rate) for name, each in self.samplers.items()}

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        if operation not in self.samplers and len(self.samplers) < self.max_operations:
            self.samplers[operation] = _AtLeast(operation, self.lower_bound, self.default_sampling_probability)
        sampled, tags = super().is_sampled(trace_id, operation)
        return sampled, tags
