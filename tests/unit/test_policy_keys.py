# SPDX-License-Identifier: Apache-2.0
"""The section ``keys`` of a policy: what it may say, and that services follow it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from osprofiler import config, initializer, opts, propagation
from osprofiler.cmd import shell
from osprofiler.concurrency import isolation
from osprofiler.config import policy_text, switches
from osprofiler.config.limited_key import LimitedKey
from osprofiler.instrumentation import registry
from osprofiler.policy import PolicyError
from tests.unit.core_kit import a_clean_process
from tests.unit.test_limited_keys import asking
from tests.waiting import wait_until

SECRET = "the key of the support team"


def keys_of(text: str) -> tuple[LimitedKey, ...]:
    keys: tuple[LimitedKey, ...] = policy_text.parse(text).of("nova-compute").get("limited_keys", ())
    return keys


def test_all_that_a_key_can_say(tmp_path: Path) -> None:
    file = tmp_path / "support.key"
    file.write_text(f"{SECRET}\n")
    text = f"""
keys:
  support:
    secret_file: {file}
    rate: ratelimiting:2
    max_age: 300
    clock_skew: 5
    until: 2026-12-24T12:00Z
    may: [trace, sql, arguments]
    projects: [demo]
    users: alice
  plain:
    secret: another key of enough bytes
"""
    until_s = datetime.datetime(2026, 12, 24, 12, tzinfo=datetime.timezone.utc).timestamp()
    may = frozenset(("sql", "arguments"))
    whom = frozenset(("demo",)), frozenset(("alice",))
    support = LimitedKey("support", SECRET, "ratelimiting:2", 300.0, 5.0, until_s, may, *whom)
    plain = LimitedKey("plain", "another key of enough bytes")
    assert keys_of(text) == (support, plain)
    assert (plain.rate, plain.max_age_s, plain.until_s, plain.may) == ("", math.inf, math.inf, frozenset())


@pytest.mark.parametrize("until", ["2026-12-24T12:00:00+01:00", "2026-12-24 12:00:00.5-05:00", "2026-12-24T12:00Z"])
def test_an_end_has_a_zone(until: str) -> None:
    (key,) = keys_of(f"keys: {{a: {{secret: {SECRET}, until: '{until}'}}}}")
    assert 1.7e9 < key.until_s < 1.9e9


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ("", "a: a key needs one of secret and secret_file"),
        ("secret: short", "a: secret: shorter than 16 bytes: it may be guessed"),
        ("secret: SECRET_KEY", "a: secret: this is the default of hmac_keys, which everybody knows"),
        ("secret: [a]", "a: secret: must be a text that only the users of the key know"),
        ("secret_file: support.key", "a: secret_file: must be the absolute path of a file that holds the secret"),
        (f"secret: {SECRET}, secret_file: /a", "a: a key needs one of secret and secret_file"),
        (f"secret: {SECRET}, rate: often", "a: rate: 'often' is not a sampler"),
        (f"secret: {SECRET}, rate: 'remote:http://a/'", "a: rate: must be ratelimiting:PER_SECOND"),
        (f"secret: {SECRET}, rate: ''", "a: rate: must be ratelimiting:PER_SECOND"),
        (f"secret: {SECRET}, rate: [1]", "a: rate: must be ratelimiting:PER_SECOND"),
        (f"secret: {SECRET}, max_age: old", "a: max_age: must be a number of seconds"),
        (f"secret: {SECRET}, max_age: -1", "a: max_age: must be a number of seconds"),
        (f"secret: {SECRET}, max_age: nan", "a: max_age: must be a number of seconds"),
        (
            f"secret: {SECRET}, until: tomorrow",
            "a: until: 'tomorrow' is not a time with its zone, such as 2026-12-24T12:00Z",
        ),
        (f"secret: {SECRET}, until: '2026-12-24T12:00'", "a: until: '2026-12-24T12:00' is not a time with its zone"),
        (f"secret: {SECRET}, may: [everything]", "a: may: 'everything' is not known; known are trace, "),
        (f"secret: {SECRET}, may: {{sql: true}}", "a: may: None is not known"),
        (f"secret: {SECRET}, projects: []", "a: projects: must be a list of names or ids"),
        (f"secret: {SECRET}, age: 3", "a: 'age' is not known; known are secret, secret_file, rate, max_age"),
    ],
)
def test_a_mistake_is_one_line_without_the_secret(fields: str, mistake: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy_text.parse(f"keys:\n  a: {{{fields}}}")
    assert caught.value.mistakes[0].startswith(f"line 2: {mistake}")
    assert SECRET not in str(caught.value)


def test_two_keys_have_two_secrets() -> None:
    with pytest.raises(PolicyError, match="line 3: the keys a and b have the same secret"):
        policy_text.parse(f"keys:\n  a: {{secret: {SECRET}}}\n  b: {{secret: {SECRET}}}")


def test_a_name_is_fit_for_counters_and_tags() -> None:
    with pytest.raises(PolicyError, match="line 1: keys: 'a b' is no name: letters, digits, - and _ are wanted"):
        policy_text.parse(f"keys: {{'a b': {{secret: {SECRET}}}}}")


@pytest.mark.parametrize("content", [None, b"short", b"\xff" * 20, b"x" * 5000])
def test_a_file_that_cannot_be_used_leaves_one_key_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    file = tmp_path / "a.key"
    if content is not None:
        file.write_bytes(content)
    keys = keys_of(f"keys: {{a: {{secret_file: {file}}}, b: {{secret: {SECRET}}}}}")
    assert [key.name for key in keys] == ["b"]
    reason = {
        None: "No such file or directory",
        b"short": "shorter than 16 bytes: it may be guessed",
        b"\xff" * 20: "not text in UTF-8",
        b"x" * 5000: "longer than 4,096 characters",
    }[content]
    assert caplog.messages == [f"the key a of the policy is not used: {file}: {reason}"]


def test_the_check_of_a_policy_names_a_key_that_has_ended() -> None:
    policy = policy_text.parse(f"keys: {{a: {{secret: {SECRET}, until: '2020-01-01T00:00Z'}}}}")
    assert policy.unused() == ["the key a has ended"]


def test_the_command_line_shows_the_names_of_the_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"keys: {{support: {{secret: {SECRET}}}, ops: {{secret: another key of enough bytes}}}}")
    assert shell.main(["policy", "check", str(file), "--service", "nova-compute"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("keys: support, ops\n", "")


# In a service


@pytest.fixture
def policy(tmp_path: Path) -> Iterator[Path]:
    """The policy file of a service that has begun."""
    path, conf = tmp_path / "policy.yaml", cfg.ConfigOpts()
    opts.register(conf)
    conf([])
    path.write_text("")
    options = {
        "enabled": True,
        "hmac_keys": "the key of all services",
        "connection_string": f"sqlite:///{tmp_path}/traces.db",
        "policy_file": str(path),
        "policy_interval": 0.02,
    }
    for name, value in options.items():
        conf.set_override(name, value, "profiler")
    with a_clean_process():
        initializer.init_from_conf(conf=conf, context={}, project="shop", service="api", host="host")
        yield path
        registry.uninstrument()
        isolation.uninstall()
        switches.reset()


def replace(path: Path, text: str) -> None:
    """Replace a file as a whole: one that is written in place is empty for a moment, and that is a policy too."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_a_key_is_added_and_revoked_while_the_service_runs(policy: Path, caplog: pytest.LogCaptureFixture) -> None:
    def is_let_in() -> bool:
        config.fresh()
        return propagation.read(asking(SECRET)) is not None

    assert not is_let_in()
    replace(policy, f"keys: {{support: {{secret: {SECRET}}}}}")
    wait_until(is_let_in)
    replace(policy, f"keys: {{support: {{secret: {SECRET}, max_age: soon}}}}")
    wait_until(lambda: "the former policy stays in force" in caplog.text)
    assert is_let_in(), "a policy with mistakes changes nothing"
    replace(policy, "keys: {}")
    wait_until(lambda: not is_let_in())
