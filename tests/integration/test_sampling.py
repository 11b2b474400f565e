# SPDX-License-Identifier: Apache-2.0
"""The remote sampler against a real Jaeger's sampling endpoint."""

from osprofiler.tracer.sampling import sampler_for
from tests.servers import Jaeger
from tests.waiting import wait_until

LAST = (1 << 64) - 1  # the last id that a rate takes


def strategy(service: str, rate: float) -> dict[str, object]:
    return {
        "service_strategies": [
            {
                "service": service,
                "type": "probabilistic",
                "param": rate,
                "operation_strategies": [{"operation": "wsgi POST", "type": "probabilistic", "param": 1.0}],
            },
            {"service": f"{service}-limited", "type": "ratelimiting", "param": 3},
        ],
        "default_strategy": {"type": "probabilistic", "param": 0.0},
    }


def test_jaeger_decides(jaeger: Jaeger) -> None:
    service = "sampled-by-jaeger"
    jaeger.set_sampling(strategy(service, 1.0))
    everything, limited, other = (
        sampler_for(f"remote:{jaeger.sampling_url}?interval=0.05", name)
        for name in (service, f"{service}-limited", f"{service}-unknown")
    )
    wait_until(lambda: everything.is_sampled(LAST, "wsgi GET")[0], what="the rate of one")
    wait_until(lambda: limited.is_sampled(LAST)[1]["sampler.type"] == "ratelimiting", what="the limit")
    assert limited.is_sampled(LAST)[1]["sampler.param"] == 3
    wait_until(lambda: not other.is_sampled(LAST, "wsgi GET")[0], what="the default")

    jaeger.set_sampling(strategy(service, 0.0))
    wait_until(lambda: not everything.is_sampled(LAST, "wsgi GET")[0], what="the rate of zero")
    assert everything.is_sampled(LAST, "wsgi POST")[0]
    for sampler in (everything, limited, other):
        sampler.close()
