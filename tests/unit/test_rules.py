# SPDX-License-Identifier: Apache-2.0
"""The rules of a policy: their text, which of them counts, for how long, and what the command says about them."""

from __future__ import annotations

import datetime
import functools
import itertools
import timeit
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaeger_client.sampler import ConstSampler, Sampler

from osprofiler import policy
from osprofiler.cmd import shell
from osprofiler.config import conditions
from osprofiler.config.conditions import Condition
from osprofiler.config.rule_index import RuleIndex
from osprofiler.config.rules import Rule
from osprofiler.config.table import Settings
from osprofiler.context.identity import NOBODY, Identity
from osprofiler.context.undecided import Later
from osprofiler.tracer import rules as rules_sampler
from osprofiler.tracer import sampling
from osprofiler.tracer.rules import ByRule, sampler_after

CLOUD = """
rules:
  - reason: health checks
    path: [/healthcheck, /]
    sample: const:0
  - reason: ticket 4711
    service: nova-*
    user: alice
    path: /v2.1/servers/{id}/**
    method: post
    header: {X-Debug: "y*"}
    sample: const:1
    until: 2126-12-24T12:00Z
  - reason: "on"
    network: 10.0.0.0/8
    role: [admin, 42]
    sample: probabilistic:0.5
"""


class Request(NamedTuple):
    """What rules ask about."""

    method: str | None = None
    path: str | None = None
    fields: dict[str, str] = {}  # noqa: RUF012
    peer: str | None = None
    identity: Identity | None = NOBODY


def rules_of(text: str, service: str = "nova-api") -> tuple[Rule, ...]:
    rules: tuple[Rule, ...] = policy.parse(text).of(service).get("rules", ())
    return rules


# The text


def test_the_text_becomes_rules() -> None:
    first, second, third = rules_of(CLOUD)
    assert first == Rule((Condition("path", ("/healthcheck", "/")),), "const:0", "health checks")
    assert {str(condition) for condition in second.conditions} == {
        "service: nova-*",
        "user: alice",
        "path: /v2.1/servers/{id}/**",
        "method: POST",
        "header x-debug: y*",
    }
    assert second.until == datetime.datetime(2126, 12, 24, 12, tzinfo=datetime.timezone.utc)
    assert (third.reason, third.line) == ("on", 14)
    assert [str(condition) for condition in third.conditions] == ["network: 10.0.0.0/8", "role: admin or 42"]
    assert [rule.reason for rule in rules_of(CLOUD, "glance-api")] == ["health checks", "on"]


@pytest.mark.parametrize(
    ("rule", "mistakes"),
    [
        ("sample: const:1", ["line 2: a rule without reason"]),
        ("{}", ["line 2: a rule without reason", "line 2: a rule without sample"]),
        (
            "[a]",
            ["line 2: a rule: must be a mapping", "line 2: a rule without reason", "line 2: a rule without sample"],
        ),
        ("{reason: a, sample: often}", ["line 2: sample: 'often' is not a sampler"]),
        ("{reason: a, sample: 'remote:http://jaeger:5778'}", ["line 2: sample: must be one of const:0"]),
        ("{reason: a, sample: ''}", ["line 2: sample: must be text"]),
        ("{reason: a, sample: const:1, users: b}", ["line 2: unknown name 'users' in a rule; known names: reason, "]),
        ("{reason: [a], sample: const:1}", ["line 2: reason: must be text"]),
        ("{reason: a, sample: const:1, user: }", ["line 2: user: must be text"]),
        ("{reason: a, sample: const:1, user: []}", ["line 2: user: must be text or a list of texts"]),
        ("{reason: a, sample: const:1, user: [[b]]}", ["line 2: user: must be text or a list of texts"]),
        ("{reason: a, sample: const:1, user: {b: c}}", ["line 2: user: must be text"]),
        ("{reason: a, sample: const:1, header: x}", ["line 2: header: must be a mapping"]),
        ("{reason: a, sample: const:1, path: v2.1}", ["line 2: path: 'v2.1' must begin with a slash"]),
        ("{reason: a, sample: const:1, path: /a*}", ["line 2: path: '/a*': a segment is text or a name in braces"]),
        ("{reason: a, sample: const:1, path: /**/a}", ["line 2: path: '/**/a': a segment"]),
        ("{reason: a, sample: const:1, path: '/a{b}'}", ["line 2: path: '/a{b}': a segment"]),
        ("{reason: a, sample: const:1, network: 10.0.0.1/8}", ["line 2: network: '10.0.0.1/8' is not a network"]),
        (
            "{reason: a, sample: const:1, until: 2026-12-24}",
            ["line 2: until: '2026-12-24' is not a time with its zone"],
        ),
        ("{reason: a, sample: const:1, until: soon}", ["line 2: until: 'soon' is not a time with its zone"]),
    ],
)
def test_each_mistake_is_told_with_its_line(rule: str, mistakes: list[str]) -> None:
    with pytest.raises(policy.PolicyError) as caught:
        policy.parse(f"rules:\n  - {rule}")
    assert len(caught.value.mistakes) == len(mistakes)
    for mistake, expected in zip(caught.value.mistakes, mistakes, strict=True):
        assert mistake.startswith(expected)


@given(st.text(alphabet="rules:\n -{}[]reason,sample:const1user/*\"'", max_size=80))
def test_any_text_is_rules_or_refused(text: str) -> None:
    mistakes = ["line 1: none"]
    try:
        policy.parse(f"rules:\n  - {text}").of("nova-api")
    except policy.PolicyError as fault:
        mistakes = fault.mistakes
    assert mistakes
    assert all(mistake.startswith("line ") for mistake in mistakes)


# What matches


@pytest.mark.parametrize(
    ("template", "matching", "others"),
    [
        ("/", ["/", ""], ["/a"]),
        ("/**", ["/", "/a", "/a/b"], []),
        ("/a", ["/a", "/a/"], ["/", "/a/b", "/A"]),
        ("/a/{x}", ["/a/1", "/a/1/"], ["/a", "/a/1/2"]),
        ("/a/{x}/c", ["/a/b/c"], ["/a/b", "/a//c", "/a/b/c/d"]),
        ("/a/**", ["/a", "/a/b", "/a/b/c"], ["/ab", "/"]),
        ("/{x}/b/**", ["/a/b", "/a/b/c"], ["/a", "//b"]),
        ("/a b/ü", ["/a%20b/%C3%BC"], ["/a+b/u"]),
    ],
)
def test_templates_of_paths(template: str, matching: list[str], others: list[str]) -> None:
    rule = Rule((Condition("path", (template,)),), "const:1", "r")
    index = RuleIndex([rule])
    for path in (*matching, *others):
        assert rule.conditions[0].holds((path,)) == (path in matching), path
        assert index.possible("", Request(path=path)) == (path in matching), path


SEGMENTS = st.sampled_from(["a", "b", "{x}"])
TEXTS = st.sampled_from(["a", "b", "ab", "a*", "*b", "?", "[ab]*", "*"])
PATTERNS = {
    "method": TEXTS,
    "operation": TEXTS,
    "path": st.builds(
        lambda parts, rest: "/" + "/".join([*parts, *(["**"] if rest else [])]),
        st.lists(SEGMENTS, max_size=3),
        st.booleans(),
    ),
    "header": TEXTS,
    "network": st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32"]),
    "project": TEXTS,
    "user": TEXTS,
    "role": TEXTS,
}
CONDITIONS = st.sampled_from(sorted(PATTERNS)).flatmap(
    lambda name: st.builds(
        lambda patterns: Condition(name, tuple(patterns), "x-debug" if name == "header" else ""),
        st.lists(PATTERNS[name], min_size=1, max_size=2),
    )
)
RULES = st.lists(CONDITIONS, max_size=4, unique_by=lambda condition: condition.name).map(
    lambda found: Rule(tuple(sorted(found)), "const:1", "r")
)
VALUES = st.sampled_from(["a", "b", "ab", "ba", "c", "a/b"])
REQUESTS = st.builds(
    Request,
    method=st.none() | VALUES,
    path=st.none()
    | st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=4).map(lambda parts: "/" + "/".join(parts)),
    fields=st.fixed_dictionaries({}, optional={"x-debug": VALUES}),
    peer=st.none() | st.sampled_from(["10.1.2.3", "10.1.9.9", "10.9.9.9", "::ffff:10.1.2.3", "2001:db8::1", "unix"]),
    identity=st.builds(Identity, *[st.lists(VALUES, max_size=2).map(tuple)] * 3),
)


def values(request: Request, operation: str, condition: Condition) -> tuple[str, ...]:
    """The values of *request* for *condition*, the plain way."""
    of = {"method": request.method, "path": request.path, "network": request.peer, "operation": operation}
    of["header"] = request.fields.get(condition.header)
    if condition.name in of:
        value = of[condition.name]
        return () if value is None else (value,)
    return tuple(getattr(request.identity, condition.name))


@settings(max_examples=100)
@given(st.lists(RULES, max_size=6), REQUESTS, VALUES)
def test_the_index_finds_what_a_look_at_each_rule_finds(rules: list[Rule], request: Request, operation: str) -> None:
    def matches(rule: Rule, names: Any) -> bool:
        wanted = [condition for condition in rule.conditions if condition.name in names]
        return all(condition.holds(values(request, operation, condition)) for condition in wanted)

    index = RuleIndex(rules)
    possible = index.possible(operation, request)
    known = set(conditions.KINDS) - set(conditions.OF_IDENTITY)
    first_possible = next((rule for rule in rules if matches(rule, known)), None)
    assert index.needs_identity(possible) == (first_possible is not None and first_possible.of_identity)
    assert request.identity is not None
    found = index.first(index.of_identity(possible, request.identity))
    expected = next((number for number, rule in enumerate(rules) if matches(rule, conditions.KINDS)), None)
    assert found == expected


@settings(max_examples=100)
@given(RULES, RULES, REQUESTS, VALUES)
def test_a_rule_that_is_covered_never_matches_alone(one: Rule, two: Rule, request: Request, operation: str) -> None:
    def matches(rule: Rule) -> bool:
        return all(condition.holds(values(request, operation, condition)) for condition in rule.conditions)

    assert one.covers(one)
    if one.covers(two) and matches(two):
        assert matches(one)


# Until when


def test_a_rule_ends_by_itself() -> None:
    start = datetime.datetime(2026, 12, 24, 12, tzinfo=datetime.timezone.utc)
    ends = [start + datetime.timedelta(minutes=minutes) for minutes in (1, 3, 2)]
    rules = [Rule((), "const:1", str(end), end) for end in ends] + [Rule((), "const:1", "always")]
    now_ns = int(start.timestamp() * 1e9)
    index = RuleIndex(rules, clock_ns=lambda: now_ns)
    seen = []
    for minute in (0, 1, 2, 3, 4, 2, 0, 3):  # a clock that was ahead is set back
        now_ns = int(start.timestamp() * 1e9) + minute * 60_000_000_000
        number = index.first(index.possible("", None))
        assert number is not None
        seen.append(number)
    assert seen == [0, 1, 1, 3, 3, 1, 0, 3]


# The sampler


def test_the_first_rule_decides_and_says_why() -> None:
    text = (
        "rules:\n- {reason: no, path: /no, sample: const:0}\n- {reason: all of them, path: /**, sample: const:1}\n"
        "- {reason: never, sample: const:0}\n"
    )
    sampler = ByRule(rules_of(text), ConstSampler(True))
    assert sampler.decide(1, "wsgi GET", Request(path="/no")) == (False, _tags(False, "no"))
    assert sampler.decide(1, "wsgi GET", Request(path="/yes")) == (True, _tags(True, "all of them"))
    assert sampler.is_sampled(1, "job") == (False, _tags(False, "never"))


def _tags(param: bool, reason: str) -> dict[str, Any]:
    return {"sampler.type": "const", "sampler.param": param, "sampling.rule": reason}


def test_where_no_rule_matches_the_sampler_decides() -> None:
    sampler = ByRule(rules_of("rules:\n- {reason: r, operation: 'rpc *', sample: const:0}"), ConstSampler(True))
    assert sampler.is_sampled(1, "wsgi GET") == (True, {"sampler.type": "const", "sampler.param": True})
    assert not sampler.is_sampled(1, "rpc build")[0]


def test_only_a_rule_that_may_still_match_waits_for_the_identity() -> None:
    text = (
        "rules:\n- {reason: health, path: /health, sample: const:0}\n"
        "- {reason: alice, path: /a, user: alice, sample: const:1}\n- {reason: rest, path: /b, sample: const:1}\n"
    )
    sampler = ByRule(rules_of(text), ConstSampler(False))

    def decide(path: str, identity: Identity | None) -> Any:
        return sampler.decide(1, "wsgi GET", Request(path=path, identity=identity))

    assert decide("/health", None)[0] is False
    assert decide("/b", None)[0] is True
    assert decide("/c", None)[0] is False
    assert decide("/a", Identity(user=("alice",)))[0] is True
    later = decide("/a", None)
    assert isinstance(later, Later)
    assert (later.who(), later.decide(Identity(user=("1", "alice")))[0], later.decide(NOBODY)[0]) == (None, True, False)


def test_rules_with_a_key_are_for_those_who_ask_with_it() -> None:
    text = "rules:\n- {reason: support, key: support, sample: const:0}\n- {reason: all, sample: const:1}\n"
    sampler = ByRule(rules_of(text), ConstSampler(False))
    assert sampler.is_sampled(1, "wsgi GET") == (True, _tags(True, "all"))
    assert sampler.decide_asked(1, "wsgi GET", Request(), ("8a3f", "support")) == (False, _tags(False, "support"))
    assert sampler.decide_asked(1, "wsgi GET", Request(), ("8a3f", "other")) == (True, {})


def test_what_stays_in_a_changed_policy_keeps_its_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def sampler_for(text: str, service_name: str) -> Sampler:
        made.append(text)
        return sampling.sampler_for(text, service_name)

    monkeypatch.setattr(rules_sampler, "sampler_for", sampler_for)
    sampler: Sampler = ConstSampler(False)
    before = None
    others: list[Sampler] = []
    for rules, of_service, new in (
        ("{reason: a, path: /a, sample: 'ratelimiting:1'}", "ratelimiting:9", ["ratelimiting:1"]),
        ("{reason: b, path: /b, sample: const:1}, {reason: c, path: /a, sample: 'ratelimiting:1'}", "", ["const:1"]),
        ("{reason: c, path: /a, sample: 'ratelimiting:1', until: 2126-01-01T00:00Z}", "", []),
        ("{reason: c, path: /a, sample: 'ratelimiting:2'}", "const:1", ["ratelimiting:2"]),
        ("", "const:1", []),
        ("{reason: c, path: /a, sample: 'ratelimiting:2'}", "const:1", ["ratelimiting:2"]),
    ):
        after = Settings(rules=rules_of(f"rules: [{rules}]"), sampler=of_service)
        sampler = sampler_after(sampler, before, after, "s")
        before = after
        assert made == new
        made.clear()
        others.append(sampler.others if isinstance(sampler, ByRule) else sampler)
    assert [one is two for one, two in itertools.pairwise(others)] == [False, True, False, True, True]


# The cost


def test_a_thousand_rules_cost_at_most_twice_as_much_as_one() -> None:
    def rules(number: int) -> tuple[Rule, ...]:
        """All of one shape; the last one matches."""
        return rules_of(
            "rules:\n"
            + "".join(
                f"- {{reason: r{n}, method: GET, path: '/v2.1/{{p}}/servers/{{id}}/a{n}', sample: 'const:1', "
                f"network: 10.{n // 256}.{n % 256}.0/24, header: {{X-Debug: 'y{n} *'}}}}\n"
                for n in range(1000 - number, 1000)
            )
        )

    identifiers = itertools.count()

    def decision(sampler: ByRule) -> Any:
        request = Request(
            "GET", f"/v2.1/p/servers/{next(identifiers)}/a999", {"x-debug": "y999 please"}, "10.3.231.9", None
        )
        return sampler.decide(1, "wsgi GET", request)

    one, thousand = (ByRule(rules(number), ConstSampler(False)) for number in (1, 1000))
    assert decision(one)[0] is decision(thousand)[0] is True
    rounds = [  # interleaved, so that other work on the machine falls on both
        [timeit.timeit(functools.partial(decision, sampler), number=100) for sampler in (one, thousand)]
        for _ in range(40)
    ]
    of_one, of_thousand = map(min, zip(*rounds, strict=True))
    assert of_thousand <= 2 * of_one


# The command


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(f"{CLOUD}services:\n  nova-api: {{sampler: const:0}}\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("options", "status", "lines"),
    [
        ("--path /healthcheck", 0, ["line 3: rule 'health checks' counts: const:0", "  path: /healthcheck or /"]),
        (
            "--path /v2.1/servers/7 --method post --header x-debug=yes --user 12 --user alice",
            0,
            [
                "line 3: rule 'health checks' does not match: path: /healthcheck or /",
                "line 6: rule 'ticket 4711' counts",
            ],
        ),
        (
            "--path /v2.1/servers/7 --user alice --network 192.0.2.1",
            1,
            [
                "line 3: ",
                "line 6: rule 'ticket 4711' may match",
                "  it depends on header x-debug: y*",
                "  it depends on method: POST",
                "line 14: rule 'on' does not match: network: 10.0.0.0/8",
                "it is not clear what counts: add --header, --method",
            ],
        ),
        (
            "--path /a --role member --network 10.1.1.1",
            0,
            ["line 3: ", "line 6: ", "line 14: ", "no rule counts for this request: sampler of the service count"],
        ),
        (
            "--key support",
            0,
            ["line 3: rule 'health checks' does not count: it names no key", "line 6: ", "line 14: ", "no rule counts"],
        ),
    ],
)
def test_explain(file: str, options: str, status: int, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["policy", "explain", file, "--service", "nova-api", *options.split()]) == status
    printed = capsys.readouterr().out.splitlines()
    starts = [line for line in printed if not line.startswith("  ")]
    assert [any(line.startswith(expected) for line in printed) for expected in lines] == [True] * len(lines), printed
    assert len(starts) == len([line for line in lines if not line.startswith("  ")])


def test_check_names_rules_without_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "rules:\n"
        "- {reason: a, path: /a/**, sample: const:0}\n"
        "- {reason: b, path: '/a/{x}', method: GET, sample: const:1}\n"
        "- {reason: c, sample: const:1, until: 2020-01-01T00:00Z}\n"
        "- {reason: d, path: /b, sample: const:1, until: 2126-01-01T00:00Z}\n"
        "- {reason: e, path: /b, sample: const:1}\n"
        "- {reason: f, path: /b, key: k, sample: const:1}\n"
        "- {reason: g, operation: rpc *, path: /x, sample: const:1}\n"
    )
    assert shell.main(["policy", "check", str(path), "--service", "s"]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"{path}: line 3: rule 'b' has no effect: rule 'a' in line 2 matches the same requests",
        f"{path}: line 4: rule 'c' has ended",
        f"{path}: line 8: rule 'g' has no effect: a message of RPC has none of method, path, header, network",
    ]
    assert "  d: const:1 for path: /b, until 2126-01-01T00:00+0000" in printed.out.splitlines()
