# SPDX-License-Identifier: Apache-2.0
"""The options: registered twice, with the defaults of a service, and in a generated sample file."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from oslo_config import cfg

from osprofiler import opts
from osprofiler.config import switches


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([])
    return conf


@pytest.fixture(autouse=True)
def _web() -> Iterator[None]:
    switches.reset()
    yield
    switches.reset()


def test_configurations_are_apart(conf: cfg.ConfigOpts) -> None:
    other = cfg.ConfigOpts()
    opts.set_defaults(other, enabled=True, hmac_keys="of the other")
    other([])
    other.set_override("connection_string", "redis://other", "profiler")
    assert conf.profiler.enabled is False
    assert (conf.profiler.hmac_keys, conf.profiler.connection_string) == ("SECRET_KEY", "messaging://")


def test_registering_twice_is_harmless(conf: cfg.ConfigOpts) -> None:
    opts.register(conf)
    opts.set_defaults(conf)
    assert conf.profiler.enabled is False


def test_defaults_of_a_service(conf: cfg.ConfigOpts) -> None:
    opts.set_defaults(
        conf,
        enabled=True,
        trace_sqlalchemy=True,
        hmac_keys="k",
        connection_string="redis://h",
        es_doc_type="d",
        es_scroll_time="5m",
        es_scroll_size=5,
        socket_timeout=1.5,
        sentinel_service_name="s",
    )
    group = conf.profiler
    assert (group.enabled, group.trace_sqlalchemy, group.hmac_keys) == (True, True, "k")
    assert (group.connection_string, group.es_doc_type, group.es_scroll_time) == ("redis://h", "d", "5m")
    assert (group.es_scroll_size, group.socket_timeout, group.sentinel_service_name) == (5, 1.5, "s")
    opts.set_defaults(conf, enabled=False)
    assert group.enabled is False
    assert group.hmac_keys == "k"


@pytest.mark.parametrize(
    ("enabled", "sql", "traced", "database"),
    [(False, False, False, False), (False, True, False, False), (True, False, True, False), (True, True, True, True)],
)
def test_what_is_traced(conf: cfg.ConfigOpts, enabled: bool, sql: bool, traced: bool, database: bool) -> None:
    opts.set_defaults(conf, enabled=enabled, trace_sqlalchemy=sql)
    assert (opts.is_trace_enabled(conf), opts.is_db_trace_enabled(conf)) == (traced, database)


def test_an_empty_configuration_is_not_the_global_one() -> None:
    with pytest.raises(cfg.NoSuchOptError):
        opts.is_trace_enabled(cfg.ConfigOpts())


def test_the_middleware_is_switched_where_tracing_is_enabled(conf: cfg.ConfigOpts) -> None:
    opts.enable_web_trace(conf)
    opts.disable_web_trace(conf)
    assert switches._last.wsgi is None
    opts.set_defaults(conf, enabled=True, hmac_keys="a,b")
    opts.enable_web_trace(conf)
    assert (switches._last.wsgi, list(switches._last.wsgi_keys or ())) == (True, ["a", "b"])
    opts.disable_web_trace(conf)
    assert switches._last.wsgi is False


def test_the_older_name_of_enabled(tmp_path: object) -> None:
    conf = cfg.ConfigOpts()
    opts.register(conf)
    path = f"{tmp_path}/service.conf"
    with open(path, "w") as file:
        file.write("[profiler]\nprofiler_enabled = true\n")
    conf(["--config-file", path])
    assert conf.profiler.enabled is True


def test_switches_can_be_mutated() -> None:
    mutable = {option.name for option in opts._PROFILER_OPTS if option.mutable}
    assert {"enabled", "hmac_keys", "sampler", "trust_incoming", "propagation", "trace_requests"} <= mutable
    assert {"trace_sqlalchemy", "rpc_plain_peers"} <= mutable


def test_every_option_says_what_it_does() -> None:
    for _, options in opts.list_opts():
        for option in options:
            assert option.help
            assert option.help.endswith(".")


def test_a_sample_file_can_be_made() -> None:
    program = (
        "from oslo_config import cfg, generator; from osprofiler import opts; import io\n"
        "for group, options in opts.list_opts(): print(group, *(option.name for option in options))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["profiler", "profiler_jaeger", "profiler_otlp"]
