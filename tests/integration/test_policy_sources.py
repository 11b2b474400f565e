# SPDX-License-Identifier: Apache-2.0
"""A policy under a key of a real Redis; and which policy processes follow, told through real stores."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as redis_py

from osprofiler.steering.follower import PolicyFollower
from osprofiler.steering.sources import Unreadable, source_of
from tests.conftest import own
from tests.servers import Jaeger, Redis
from tests.unit.steering_kit import put
from tests.unit.test_cli import run
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("osprofiler_process")

ROOT = Path(__file__).resolve().parents[2]


def sampler(text: str) -> str:
    return f"services:\n  '*':\n    sampler: {text}\n"


def test_a_key_of_redis_is_followed_and_an_outage_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with own(Redis) as server:
        address = f"{server.fresh_url()}?policy=cloud"
        client = redis_py.Redis.from_url(address.partition("?")[0])
        client.set("cloud", sampler("const:1"))
        follower = PolicyFollower(source_of(address), lambda policy: None, interval_s=0.02)
        assert follower.begin().of("any") == {"sampler": "const:1"}
        client.set("cloud", sampler("const:0"))
        wait_until(lambda: follower.policy.of("any") == {"sampler": "const:0"})
        server.stop()
        wait_until(lambda: "the former policy stays in force" in caplog.text)
        server.start()
        client.set("cloud", sampler("const:1"))
        wait_until(lambda: follower.policy.of("any") == {"sampler": "const:1"})
        follower.end()
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert not [line for line in lines if not line.startswith("cannot read the policy redis://:***@")]


def test_what_redis_does_not_have(redis: Redis) -> None:
    url = redis.fresh_url()
    with pytest.raises(Unreadable, match="there is no key osprofiler-policy"):
        source_of(url).read(5.0)
    redis_py.Redis.from_url(url).lpush("osprofiler-policy", "a list")
    with pytest.raises(Unreadable, match="WRONGTYPE"):
        source_of(url).read(5.0)


# Which policy is followed

_SERVICE = """
import os, sys
from oslo_config import cfg
from osprofiler import initializer, opentracing_compat, opts
conf = cfg.ConfigOpts()
opts.register(conf)
conf([], default_config_files=[])
settings = dict(
    enabled=True, connection_string=sys.argv[1], policy_file=sys.argv[2], policy_interval=0.05, hmac_keys="k" * 16
)
for name, value in settings.items():
    conf.set_override(name, value, "profiler")
initializer.init_from_conf(conf, None, "nova", sys.argv[3], "host")
children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        break
    children.append(pid)
sys.stdin.read()
opentracing_compat.flush(30)
if pid:
    for child in children:
        os.waitpid(child, 0)
"""


def stores(tmp_path: Path, redis: Redis, jaeger: Jaeger) -> dict[str, str]:
    return {"sqlite": f"sqlite:///{tmp_path}/traces.db", "redis": redis.fresh_url(), "jaeger": jaeger.url}


@pytest.mark.parametrize("store", ["sqlite", "redis", "jaeger"])
def test_which_policy_the_processes_of_a_service_follow(
    store: str, tmp_path: Path, redis: Redis, jaeger: Jaeger
) -> None:
    url = stores(tmp_path, redis, jaeger)[store]
    policy = tmp_path / "policy.yaml"
    put(policy, sampler("probabilistic:0.5"))
    name = f"compute-{store}-{os.getpid()}"
    command = [sys.executable, "-c", textwrap.dedent(_SERVICE), url, str(policy), name]

    def shown(*more: str) -> "subprocess.CompletedProcess[str]":
        return run("policy", "show", "--service", f"nova-{name}", "--connection-string", url, *more)

    def told(count: int, of: Callable[[dict[str, str]], str]) -> bool:
        found = [of(each) for each in json.loads(shown("--json").stdout or "[]")]  # the store may not be there yet
        return len(found) == count and len(set(found)) == 1

    def settings(of: dict[str, str], text: str = "sampler = probabilistic:0.5") -> str:
        assert of["settings"] == text
        return of["digest"]

    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, text=True) as service:
        wait_until(lambda: told(3, settings), what="the parent and two children")
        assert shown("--file", str(policy)).returncode == 0
        put(policy, sampler("const:0"))
        wait_until(lambda: shown("--file", str(policy)).returncode == 0, what="the new policy in three processes")
        service.communicate()
    assert service.returncode == 0
    done = shown()
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + 3 + 1 + 1
    assert lines[0].split() == ["service", "host", "pid", "policy", "since", "told", "source"]
    assert lines[1].endswith(str(policy))
    assert "sampler = const:0" in lines[-1]
    nobody = run("policy", "show", "--service", "no-such", "--connection-string", url)
    assert (nobody.returncode, nobody.stdout) == (0, "")
    assert "no process of no-such has told the store a policy" in nobody.stderr
