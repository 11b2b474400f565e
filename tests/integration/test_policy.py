# SPDX-License-Identifier: Apache-2.0
"""A running service with several processes follows its policy file, without a restart or a signal."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler import web
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import osprofiler
from tests.unit.steering_kit import put
from tests.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "policy_service.py"
KEY = "of the service"
SIGNED = osprofiler.encode(TraceContext.from_osprofiler(None, "7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a02"), KEY)

State = tuple[bool, list[str], bool]
Ask = Callable[..., tuple[int, State]]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


@pytest.fixture
def ask(tmp_path: Path, policy: Path) -> Iterator[Ask]:
    config = tmp_path / "nova.conf"
    config.write_text(
        f"[profiler]\nenabled = true\nhmac_keys = {KEY}\nconnection_string = sqlite:///{tmp_path}/traces.db\n"
        f"policy_file = {policy}\npolicy_interval = 0.05\npropagation = w3c\npoints =\n"
    )
    command = [sys.executable, str(PROGRAM), str(config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        port = int(service.stdout.readline())

        def request(method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, State]:
            wanted = urllib.request.Request(f"http://127.0.0.1:{port}/", method=method, headers=headers or {})
            with urllib.request.urlopen(wanted, timeout=30) as answer:
                pid, *state = json.load(answer)
            return pid, tuple(state)

        yield request
        service.communicate()
    assert service.returncode == 0


def in_both_workers(ask: Ask, expected: State, **request: Any) -> None:
    """Wait until both workers answer so. Each of them notices the change itself."""
    agreed: set[int] = set()

    def do() -> bool:
        pid, state = ask(**request)
        (agreed.add if state == expected else agreed.discard)(pid)
        return len(agreed) == 2

    wait_until(do, what=f"{expected} in two workers")


def test_a_running_service_follows_its_policy(ask: Ask, policy: Path) -> None:
    in_both_workers(ask, (False, [], False))  # the file does not exist yet

    put(policy, "services:\n  nova-*:\n    sampler: const:1\n    operations: {'wsgi POST': 'const:0'}\n")
    in_both_workers(ask, (True, ["traceparent"], False))
    assert ask("POST")[1] == (False, ["traceparent"], False)  # the decision "no" is passed on
    assert ask("POST", SIGNED)[1][0], "who asks with a key is traced whatever the sampler says"

    put(policy, "services:\n  '*': {sampler: const:0, trace_requests: true, propagation: [osprofiler]}\n")
    in_both_workers(ask, (False, ["X-Trace-Context"], True))
    assert {web.X_TRACE_INFO, web.X_TRACE_HMAC} <= set(ask("GET", SIGNED)[1][1])

    put(policy, "services: [")
    in_both_workers(ask, (False, ["X-Trace-Context"], True))

    put(policy, "services:\n  nova-api: {enabled: false}\n")
    in_both_workers(ask, (False, [], False), headers=SIGNED)

    put(policy, "services:\n")
    in_both_workers(ask, (True, ["traceparent"], False), headers=SIGNED)
