# SPDX-License-Identifier: Apache-2.0
"""A policy: its settings for each service, the line of each kind of mistake, and the command that checks it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler import policy
from osprofiler.config import policy_text, trust
from tests.unit.test_cli import run

pytestmark = pytest.mark.usefixtures("osprofiler_process")

CLOUD = """
services:
  nova-compute:
    operations:
      "rpc build_*": const:1
      "rpc *": probabilistic:0.01
  "nova-*":
    sampler: ratelimiting:2
    trace_requests: on
    propagation: [osprofiler, w3c]
    operations:
      "wsgi GET": const:0
  "*":
    sampler: const:0
    trace_requests: false
    trust_incoming: true
"""


def test_the_first_entry_that_fits_and_says_it_counts() -> None:
    cloud = policy.parse(CLOUD)
    assert cloud.of("nova-compute") == {
        "operations": (("rpc build_*", "const:1"), ("rpc *", "probabilistic:0.01"), ("wsgi GET", "const:0")),
        "sampler": "ratelimiting:2",
        "trace_requests": True,
        "propagation": ("osprofiler", "w3c"),
        "trust_incoming": trust.ALL,
    }
    assert cloud.of("glance-api") == {"sampler": "const:0", "trace_requests": False, "trust_incoming": trust.ALL}


@pytest.mark.parametrize("text", ["", "# nothing yet", "services:", "services:\n  nova-*:", "services: {}", "{}"])
def test_an_empty_policy_says_nothing(text: str) -> None:
    assert policy.parse(text).of("nova-api") == {}


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("services: [nova]", ["line 1: services: must be a mapping of names to values"]),
        ("- nova", ["line 1: the file: must be a mapping of names to values"]),
        ("service:\n  a:", ["line 1: unknown name 'service'; known names: services, rules"]),
        ("services:\n  a:\n    sampler: often", ["line 3: sampler: 'often' is not a sampler: use const:0"]),
        ("services:\n  a:\n    sampler:", ["line 3: sampler: must be a sampler"]),
        ("services:\n  a: {sampler: {x: 1}}", ["line 2: sampler: must be a sampler"]),
        ("services:\n  a:\n    enabled: maybe", ["line 3: enabled: must be true or false"]),
        ("services:\n  a:\n    enabled: 1", ["line 3: enabled: must be true or false"]),
        ("services:\n  a:\n    hmac_keys: x", ["line 3: unknown setting 'hmac_keys'; known settings: enabled, "]),
        ("services:\n  a:\n    propagation: [w3c, x]", ["line 3: propagation: must be a list of formats"]),
        ("services:\n  a:\n    trust_incoming: [w3c, x]", ["line 3: trust_incoming: 'x' is not signed, all, join, "]),
        ("services:\n  a:\n    trust_incoming: {w3c: x}", ["line 3: trust_incoming: must be signed, all, or a list"]),
        ("services:\n  a:\n    propagation: []", ["line 3: propagation: must be a list of formats"]),
        ("services:\n  a:\n    propagation: {w3c: x}", ["line 3: propagation: must be a list of formats"]),
        ("services:\n  a:\n  b:\n  a:", ["line 4: the name 'a' occurs twice"]),
        ("services:\n  ? [a]\n  : x", ["line 2: services: a name must be text"]),
        ("services: &s\n  a: *s", ["line 2: unknown setting 'a'"]),
        (
            "services:\n  a:\n    operations:\n      x: 1\n      y: const:1\n      z: const:2\n    enabled: x",
            ["line 4: 'x': '1' is not a sampler", "line 6: 'z': 'const:2' is not a sampler", "line 7: enabled: "],
        ),
        ("services:\n  a: [", ["line "]),
        ("services:\n  a: *nowhere", ["line 2: found undefined alias"]),
        ("a: 1\n---\nb: 2", ["line 2: "]),
        ("services: \0", ["line 1: not YAML"]),
        ("[" * 100_000, ["line 1: "]),
    ],
)
def test_each_mistake_is_told_with_its_line(text: str, mistakes: list[str]) -> None:
    with pytest.raises(policy.PolicyError) as caught:
        policy.parse(text)
    assert len(caught.value.mistakes) == len(mistakes)
    for mistake, expected in zip(caught.value.mistakes, mistakes, strict=True):
        assert mistake.startswith(expected)
        assert "\n" not in mistake


@given(st.text(alphabet="services:\n a-*[]{}\"'&!|>%@?#0,", max_size=60))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    mistakes = ["line 1: none"]
    try:
        policy.parse(text).of("nova-api")
    except policy.PolicyError as fault:
        mistakes = fault.mistakes
    assert mistakes
    assert all(mistake.startswith("line ") for mistake in mistakes)


# The file


def sampler(text: str) -> str:
    return f"services:\n  '*':\n    sampler: {text}\n"


@pytest.mark.parametrize("deep", ["[" * 100_000, "- " * 50_000, "? " * 50_000, "{a: " * 50_000])
def test_a_file_that_is_too_long_or_too_deep_is_refused(tmp_path: Path, deep: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(sampler("const:0") + "#" * policy_text.MAX_CHARS)
    with pytest.raises(policy.PolicyError, match="too long"):
        policy.load(str(file))
    with pytest.raises(policy.PolicyError, match="line 1"):
        policy.parse(deep)


def test_the_longest_policy_is_read_by_the_fast_loader() -> None:
    """PyYAML's loader in Python takes ten times as long, and a request may wait for it."""
    entry = "  'service-{}': {{sampler: 'const:0', operations: {{'wsgi GET': 'const:1'}}}}\n"
    text = "services:\n" + "".join(entry.format(number) for number in range(3000))
    assert len(text) < policy_text.MAX_CHARS
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and "yaml" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        assert policy.parse(text).of("service-2999")["sampler"] == "const:0"
    finally:
        sys.setprofile(None)
    assert calls < 100 * 3000


# Settings without effect


@pytest.mark.parametrize(
    ("text", "unused"),
    [
        (
            "services: {'*': {sampler: 'const:0'}, nova-api: {sampler: 'const:1'}}",
            ["'nova-api': sampler has no effect"],
        ),
        ("services: {'nova-*': {enabled: true}, 'nova-c*': {enabled: false}}", ["'nova-c*': enabled has no effect"]),
        ("services: {'nova-c*': {enabled: true}, 'nova-*': {enabled: false}}", []),
        ("services: {'nova-*': {enabled: true}, 'nova-c*': {sampler: 'const:0'}}", []),
        ("services: {'nova-[a-z]*': {enabled: true}, nova-b: {enabled: true}}", []),  # the value is not checked
        (
            "services: {a: {operations: {'wsgi *': 'const:0', 'wsgi GET': 'const:1'}}}",
            ["'a': operation 'wsgi GET' has no effect: 'wsgi *'"],
        ),
        (
            "services: {'*': {operations: {'rpc *': 'const:0'}}, b: {operations: {'rpc x': 'const:1', db: 'const:1'}}}",
            ["'b': operation 'rpc x' has no effect"],
        ),
    ],
)
def test_what_can_never_count_is_named(text: str, unused: list[str]) -> None:
    lines = policy.parse(text).unused()
    assert len(lines) == len(unused)
    for line, beginning in zip(lines, unused, strict=True):
        assert line.startswith(beginning)


# The command


def test_the_command_names_what_can_never_count(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("services:\n  '*': {sampler: 'const:0'}\n  nova-api: {sampler: 'const:1'}\n")
    done = run("policy", "check", str(file))
    assert done.returncode == 0
    assert done.stderr == f"{file}: 'nova-api': sampler has no effect: '*' above sets it for the same services\n"


def test_the_command_tells_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("services:\n  a: {enabled: maybe}\n  b: {sampler: often}\n")
    done = run("policy", "check", str(file))
    first, second = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert first == f"{file}: line 2: enabled: must be true or false"
    assert second.startswith(f"{file}: line 3: sampler: 'often' is not a sampler")


def test_the_command_says_what_holds_for_a_service_as_a_policy_would(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(CLOUD)
    assert run("policy", "check", str(file)).stdout == f"{file}: no mistakes\n"
    done = run("policy", "check", str(file), "--service", "nova-compute")
    body = "".join(f"    {line}\n" for line in done.stdout.splitlines())
    assert policy.parse(f"services:\n  '*':\n{body}").of("any") == policy.parse(CLOUD).of("nova-compute")
    file.write_text("")
    assert "sets nothing for nova-compute" in run("policy", "check", str(file), "--service", "nova-compute").stdout


def test_the_command_on_what_is_no_file(tmp_path: Path) -> None:
    done = run("policy", "check", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, f"osprofiler: cannot read {tmp_path}: Is a directory\n")
