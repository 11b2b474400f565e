# SPDX-License-Identifier: Apache-2.0
"""init_from_conf on real configurations, and their mutations."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import opentracing
import pytest
from jaeger_client.sampler import ConstSampler, ProbabilisticSampler, RateLimitingSampler
from opentracing.scope_managers import ThreadLocalScopeManager
from oslo_config import cfg

from osprofiler import config, initializer, notifier, opts, profiler, web
from osprofiler._runtime import guard
from osprofiler._utils import signed_pack
from osprofiler.concurrency import isolation
from osprofiler.config import settings as settings_in_force
from osprofiler.config import switches, trust
from osprofiler.context import current, scope
from osprofiler.instrumentation import layers, opentelemetry, registry
from osprofiler.tracer import global_tracer
from osprofiler.tracer.sampling import sampler_for
from tests.unit.core_kit import a_clean_process, faults, kept_spans


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    switches.reset()
    with a_clean_process():
        yield
        registry.uninstrument()
        opentelemetry.uninstrument()
        switches.reset()
        isolation.uninstall()
        global_tracer.get_tracer().sampler = sampler_for("", "test")


Write = Callable[..., cfg.ConfigOpts]


@pytest.fixture
def configured(tmp_path: Path) -> Write:
    """Write ``[profiler]`` into a file. The first call makes the configuration, each later call mutates it."""
    path, conf = tmp_path / "service.conf", cfg.ConfigOpts()
    opts.register(conf)

    def write(**options: object) -> cfg.ConfigOpts:
        lines = [f"{name} = {value}" for name, value in {"points": "", **options}.items()]
        path.write_text("\n".join(["[profiler]", *lines, ""]))
        if conf._namespace is None:
            conf(["--config-file", str(path)])
        else:
            conf.mutate_config_files()
        return conf

    return write


#: The switches of layers that are on by default, in a service that has read its configuration.
ON = {"trace_wsgi": True, "trace_drivers": True}


def in_force(*switched_on: str) -> list[str]:
    """The libraries of the layers whose switches are on."""
    return sorted(library for switch in switched_on for library in layers.LIBRARIES[switch])


def init(conf: cfg.ConfigOpts) -> None:
    initializer.init_from_conf(conf=conf, context={}, project="shop", service="api", host="host")


def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'traces.db'}"


def test_everything_is_put_into_force(configured: Write, tmp_path: Path) -> None:
    conf = configured(
        enabled=True,
        connection_string=store(tmp_path),
        hmac_keys="one, two",
        trace_requests=True,
        trust_incoming=True,
        propagation="osprofiler,b3",
        rpc_plain_peers=True,
        sampler="probabilistic:0.5",
        queue_spans=5,
        queue_bytes=6,
        flush_interval=0.5,
        flush_timeout=0.25,
    )
    init(conf)
    assert config.current() == config.Settings(
        enabled=True,
        hmac_keys=("one", "two"),
        trust_incoming=trust.ALL,
        propagation=("osprofiler", "b3"),
        rpc_plain_peers=True,
        sampler="probabilistic:0.5",
        trace_requests=True,
        trace_wsgi=True,
        trace_drivers=True,
        points=(),
        queue_spans=5,
        queue_bytes=6,
        flush_interval_s=0.5,
        flush_timeout_s=0.25,
    )
    assert (switches._last.wsgi, list(switches._last.wsgi_keys or ())) == (True, ["one", "two"])
    assert registry.in_force() == in_force("trace_requests", *ON)
    assert isinstance(notifier.get(), notifier.StoreNotifier)
    tracer = global_tracer.get_tracer()
    assert tracer.service_name == "shop-api"
    assert isinstance(tracer.sampler, ProbabilisticSampler)
    assert not faults()


def test_a_service_that_registered_only_stocks_options(tmp_path: Path) -> None:
    conf = cfg.ConfigOpts()
    stock = json.loads((Path(__file__).parents[1] / "conformance" / "public_names.json").read_text())["options"]
    known = {option.name: option for option in opts._PROFILER_OPTS}
    for name in stock:
        group, _, option = name.partition(".")
        if group == "profiler":
            conf.register_opt(known[option], group="profiler")
    conf([])
    conf.set_override("connection_string", store(tmp_path), "profiler")
    init(conf)
    on = {**ON, "trace_requests": True}  # by the profile of projects that have none of their own
    assert config.current() == config.Settings(hmac_keys=("SECRET_KEY",), trust_incoming=trust.SIGNED, **on)
    assert switches._last.wsgi is True
    assert not faults()


def test_switches_follow_a_mutation(configured: Write, tmp_path: Path) -> None:
    fixed = {"connection_string": store(tmp_path)}
    init(configured(enabled=True, hmac_keys="one", sampler="ratelimiting:2", trace_sqlalchemy=True, **fixed))
    sampler = global_tracer.get_tracer().sampler
    assert isinstance(sampler, RateLimitingSampler)

    configured(enabled=True, hmac_keys="two,three", sampler="ratelimiting:2", trace_requests=True, **fixed)
    assert config.current().hmac_keys == ("two", "three")
    assert list(switches._last.wsgi_keys or ()) == ["two", "three"]
    assert global_tracer.get_tracer().sampler is sampler  # a new sampler would start with a full bucket
    assert registry.in_force() == in_force("trace_requests", *ON)
    assert not switches.statements()

    trusted = "10.0.0.0/8,w3c"
    configured(enabled=False, hmac_keys="two", trust_incoming=trusted, propagation="w3c", rpc_plain_peers=True, **fixed)
    settings = config.current()
    assert (settings.enabled, settings.rpc_plain_peers) == (False, True)
    assert str(settings.trust_incoming) == "10.0.0.0/8, w3c"
    assert settings.propagation == ("w3c",)
    assert switches._last.wsgi is False
    assert registry.in_force() == []
    assert isinstance(global_tracer.get_tracer().sampler, ConstSampler)
    profiler.init("key")
    assert profiler.get() is None

    configured(enabled=True, trace_sqlalchemy=True, **fixed)
    assert switches._last.wsgi is True
    assert switches.statements()
    profiler.init("key")
    assert profiler.get() is not None
    profiler.clean()
    assert not faults()


def test_an_option_that_is_misspelt_is_named(
    configured: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init(configured(profiler_enabled=True, trace_request=True, connection_string=store(tmp_path), colour="red"))
    warnings = sorted(record.getMessage() for record in caplog.records if "is not an option" in record.getMessage())
    assert [line.partition(" in ")[0] for line in warnings] == ["[profiler] colour", "[profiler] trace_request"]
    assert warnings[1].endswith("did you mean trace_requests?")
    assert config.current().enabled
    assert not faults()


def test_keys_that_are_taken_away_are_not_those_of_the_paste_file(configured: Write, tmp_path: Path) -> None:
    fixed = {"enabled": True, "connection_string": store(tmp_path)}

    def traced(key: str) -> bool:
        info, signature = signed_pack({"base_id": "b", "parent_id": "b"}, key)
        environ = {"HTTP_X_TRACE_INFO": info.decode(), "HTTP_X_TRACE_HMAC": signature}
        setup_testing_defaults(environ)
        seen = []

        def application(*_: Any) -> list[bytes]:
            seen.append(profiler.get())
            return [b""]

        web.WsgiMiddleware(application, hmac_keys="paste", enabled=True)(environ, lambda *_: None)
        return seen != [None]

    init(configured(hmac_keys="one", **fixed))
    assert (traced("one"), traced("paste")) == (True, False)
    configured(hmac_keys="", **fixed)
    assert (traced("one"), traced("paste")) == (False, False)
    configured(hmac_keys="two", **fixed)
    assert (traced("two"), traced("paste")) == (True, False)
    init(configured(hmac_keys="", **fixed))  # osprofiler 4 does the same for a service that starts like this
    assert (traced("one"), traced("paste")) == (False, True)


def test_the_policy_goes_before_the_options_as_long_as_it_says_so(configured: Write, tmp_path: Path) -> None:
    policy, other = tmp_path / "policy.yaml", tmp_path / "other.yaml"
    policy.write_text(
        "services:\n  glance-*: {enabled: false}\n  shop-api:\n    enabled: false\n    trace_requests: true\n"
        "    trace_sqlalchemy: false\n    sampler: const:1\n    operations: {'wsgi *': 'const:0'}\n"
    )
    other.write_text("services:\n  '*': {propagation: [b3]}\n")
    fixed = {"enabled": True, "connection_string": store(tmp_path), "hmac_keys": "one"}
    init(configured(policy_file=policy, sampler="ratelimiting:2", **fixed))
    settings = config.current()
    assert (settings.enabled, settings.sampler, settings.operations) == (False, "const:1", (("wsgi *", "const:0"),))
    assert (switches._last.wsgi, registry.in_force(), switches.statements()) == (False, [], False)
    sampler = global_tracer.get_tracer().sampler
    assert [sampler.is_sampled(1, operation)[0] for operation in ("wsgi GET", "rpc build")] == [False, True]

    configured(policy_file=policy, sampler="ratelimiting:3", rpc_plain_peers=True, **fixed)
    assert global_tracer.get_tracer().sampler is sampler, "the policy still says the same"
    assert (config.current().enabled, config.current().rpc_plain_peers) == (False, True)

    configured(policy_file=other, sampler="ratelimiting:3", **fixed)
    assert (switches._last.wsgi, registry.in_force(), switches.statements()) == (True, in_force(*ON), True)
    options = config.Settings(hmac_keys=("one",), trust_incoming=trust.SIGNED, points=(), **ON)
    assert config.current() == dataclasses.replace(options, sampler="ratelimiting:3", propagation=("b3",))
    assert isinstance(global_tracer.get_tracer().sampler, RateLimitingSampler)

    configured(**fixed)
    assert config.current() == config.Settings(hmac_keys=("one",), trust_incoming=trust.SIGNED, points=(), **ON)
    assert settings_in_force._looks == ()
    assert not faults()


def test_rules_of_the_policy_come_before_its_samplers(configured: Write, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    rules = "rules:\n- {reason: r, service: shop-*, operation: rpc *, sample: 'const:0'}\n"
    fixed = {"enabled": True, "connection_string": store(tmp_path), "hmac_keys": "one", "policy_file": policy}
    policy.write_text(f"{rules}services:\n  shop-api: {{sampler: const:1}}\n")
    init(configured(**fixed))

    def sampled() -> list[bool]:
        sampler = global_tracer.get_tracer().sampler
        return [sampler.is_sampled(1, operation)[0] for operation in ("wsgi GET", "rpc build")]

    assert (sampled(), config.current().samples) == ([True, False], True)
    policy.write_text(f"{rules.replace('const:0', 'const:1')}services:\n  shop-api: {{sampler: const:0}}\n")
    configured(**{**fixed, "policy_file": ""})
    assert (sampled(), config.current().samples) == ([False, False], False)
    configured(**fixed)
    assert sampled() == [False, True]
    assert not faults()


def test_an_engine_that_is_made_while_statements_are_off_is_traced_once_they_are_on(
    configured: Write, tmp_path: Path
) -> None:
    import sqlalchemy

    from osprofiler import sqlalchemy as traced

    off, on = tmp_path / "off.yaml", tmp_path / "on.yaml"
    off.write_text("services: {'*': {trace_sqlalchemy: false}}")
    on.write_text("services: {'*': {trace_sqlalchemy: true}}")
    fixed = {"enabled": True, "trace_sqlalchemy": True, "connection_string": store(tmp_path), "hmac_keys": "one"}
    init(configured(policy_file=off, **fixed))
    engine = sqlalchemy.create_engine("sqlite://")
    traced.add_tracing(sqlalchemy, engine, "db")
    with kept_spans() as spans:
        profiler.init("one")
        for policy, seen in ((off, []), (on, ["db SELECT", "db ROLLBACK"])):
            configured(policy_file=policy, **fixed)
            with engine.connect() as conn:
                conn.execute(sqlalchemy.text("SELECT 1"))
            assert [span.operation_name for span in spans.finished] == seen
        profiler.clean()


def test_what_is_kept_of_arguments_is_followed(configured: Write, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("services: {'*': {trace_arguments: none}}")
    fixed = {"enabled": True, "connection_string": store(tmp_path)}
    init(configured(**fixed))
    assert config.current().trace_arguments == "full"
    configured(trace_arguments="types", **fixed)
    assert config.current().trace_arguments == "types"
    configured(trace_arguments="types", policy_file=policy, **fixed)
    assert config.current().trace_arguments == "none"


def test_a_mutation_of_other_options_changes_nothing(configured: Write, tmp_path: Path) -> None:
    conf = configured(enabled=True, connection_string=store(tmp_path))
    conf.register_opt(cfg.BoolOpt("other", default=False, mutable=True))
    init(conf)
    before = config.current()
    configured(enabled=True, connection_string=store(tmp_path), other=True)
    assert config.current() is before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"connection_string": "nosuchstore://here"}, "osprofiler is off"),
        ({"connection_string": ""}, "osprofiler is off"),
        ({"connection_string": "jaeger://:::1"}, "osprofiler is off"),
        ({"sampler": "often"}, "nothing is sampled"),
        ({"propagation": "w3c, zipkin"}, "unknown format 'zipkin'"),
        ({"policy_file": "/no/such/policy.yaml"}, "cannot read the policy"),
        ({"trace_requests": "perhaps"}, "[profiler] trace_requests: "),
        ({"trace_arguments": "some"}, "the default 'full' is used"),
        ({"trust_incoming": "7"}, "[profiler] trust_incoming: '7' is not signed, all, join, rpc, a network such as"),
        ({"trust_incoming": "10.0.0.1/8"}, "10.0.0.1/8 is not a network: 10.0.0.1/8 has host bits set; the default "),
        ({"trust_incoming": "all, w3c"}, "all cannot stand together with w3c; the default 'signed' is used"),
        ({"queue_spans": "0"}, "100000 is used"),
        ({"queue_bytes": "lots"}, "67108864 is used"),
        ({"flush_interval": "nan"}, "nan is not a finite number of seconds; the default 1.0 is used"),
        ({"flush_timeout": "inf"}, "inf is not a finite number of seconds; the default 5.0 is used"),
        ({"sampler": "probabilistic:7"}, "nothing is sampled"),
        ({"scope_manager": "no.such.module:Class"}, "osprofiler uses its own scope manager"),
        ({"scope_manager": "collections:OrderedDict"}, "osprofiler uses its own scope manager"),
        ({"instrument": "everything"}, "unknown name"),
        ({"sampler": "const:$nothing"}, "[profiler] sampler: $ begins the name of an option, write $$"),
    ],
)
def test_a_bad_option_is_one_line_in_the_log(
    configured: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, str], complaint: str
) -> None:
    secret = {"hmac_keys": "a key that is long enough"}
    init(configured(**{"enabled": True, "connection_string": store(tmp_path), **secret, **options}))
    ours = [record for record in caplog.records if record.name.startswith("osprofiler")]
    errors = [record for record in ours if record.levelname in ("ERROR", "WARNING")]
    assert len(errors) == 1
    assert complaint in errors[0].getMessage()
    assert "\n" not in errors[0].getMessage()
    profiler.init("key")
    with profiler.Trace("a"):
        pass
    profiler.clean()
    assert switches._last.wsgi is True


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        ({}, ["[profiler] hmac_keys has the default key, which everybody knows: anybody can ask for a trace"]),
        ({"hmac_keys": "fifteen bytes.."}, ["[profiler] hmac_keys has a key of only 15 bytes: it may be guessed"]),
        ({"hmac_keys": "a key that is long enough"}, []),
        ({"enabled": False}, []),
    ],
)
def test_a_weak_key_is_a_warning_at_the_start(
    configured: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, Any], warnings: list[str]
) -> None:
    init(configured(**{"enabled": True, "connection_string": store(tmp_path), **options}))
    configured(**{"enabled": True, "connection_string": store(tmp_path), **options}, trust_incoming=True)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == warnings


def test_without_keys_nobody_can_ask_and_the_log_says_so(
    configured: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init(configured(enabled=True, connection_string=store(tmp_path), hmac_keys=" , "))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "[profiler] hmac_keys is empty: nobody can ask for a trace"
    ]


def test_keys_that_cannot_be_read_are_not_the_default_key(
    configured: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init(configured(enabled=True, connection_string=store(tmp_path), hmac_keys="pa$word"))
    assert config.current().hmac_keys == ()
    assert (
        "[profiler] hmac_keys: $ begins the name of an option, write $$ for the character; there is no key"
        in caplog.text
    )
    assert "word" not in caplog.text.replace("write $$", "")


def test_a_configuration_without_any_option_is_harmless() -> None:
    conf = cfg.ConfigOpts()
    conf([])
    init(conf)
    assert guard.counters["fault.init_from_conf"] == 1


def test_a_password_is_in_no_log(configured: Write, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level("DEBUG")
    for url in ("nosuchstore://user:pa55word@host", "jaeger+http://user:pa55word@127.0.0.1:1"):
        conf = configured(enabled=True, connection_string=url)
        conf.set_override("connection_string", url, "profiler")
        init(conf)
    assert "osprofiler is" in caplog.text
    assert "pa55word" not in caplog.text


def test_a_scope_manager_of_ones_own(configured: Write, tmp_path: Path) -> None:
    init(
        configured(
            enabled=True,
            connection_string=store(tmp_path),
            scope_manager="opentracing.scope_managers:ThreadLocalScopeManager",
        )
    )
    assert isinstance(current.manager, ThreadLocalScopeManager)
    assert global_tracer.get_tracer().scope_manager is current.manager
    profiler.init("key")
    with profiler.Trace("a"):
        assert global_tracer.get_tracer().active_span is not None
    profiler.clean()


def test_a_scope_manager_that_breaks_is_harmless() -> None:
    class Broken(opentracing.ScopeManager):
        @property
        def active(self) -> Any:
            raise RuntimeError

    scope.use(Broken())
    profiler.init("key")
    with profiler.Trace("a"):
        pass
    profiler.clean()
    assert guard.counters["fault.scope_manager"] > 0


PROGRAM = """
import sys
from oslo_config import cfg
from osprofiler import initializer, opts, profiler
conf = cfg.ConfigOpts()
opts.set_defaults(conf, enabled=True, connection_string=sys.argv[1])
conf([])
initializer.init_from_conf(conf, {}, "shop", "api", "host")
profiler.init("key", base_id="of the program")
with profiler.Trace("a"):
    pass
"""


def test_what_a_program_traced_is_in_the_store_when_it_ends(tmp_path: Path) -> None:
    from osprofiler.drivers import base

    subprocess.run([sys.executable, "-c", PROGRAM, store(tmp_path)], check=True, timeout=120)
    driver = base.get_driver(store(tmp_path))
    report = driver.get_report("of the program")
    assert [child["info"]["name"] for child in report["children"]] == ["a"]
