# SPDX-License-Identifier: Apache-2.0
"""A layer is on while its switch is: by the configuration, by the policy, and while a service runs."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from osprofiler import config, initializer, opts, requests
from osprofiler.concurrency import isolation
from osprofiler.config import switches, trust
from osprofiler.config.row import rows
from osprofiler.instrumentation import layers, registry
from tests import pages
from tests.unit.core_kit import a_clean_process, faults

Write = Callable[..., cfg.ConfigOpts]

LAYERS = sorted(layers.SWITCHES.items())
SETTINGS = rows(config.Settings)


def layers_of(*switched_on: str) -> list[str]:
    """The libraries of the switches that are on by default, and of those *switched_on*."""
    on = {switch for switch in layers.LIBRARIES if SETTINGS[switch].default} | set(switched_on)
    return sorted(library for switch in on for library in layers.LIBRARIES[switch])


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with a_clean_process():
        yield
        registry.uninstrument()
        isolation.uninstall()
        switches.reset()


@pytest.fixture
def configured(tmp_path: Path) -> Write:
    """Write ``[profiler]`` into a file; the first call begins the service, later ones mutate its configuration."""
    path, conf = tmp_path / "service.conf", cfg.ConfigOpts()
    opts.register(conf)
    began: list[bool] = []

    def write(**options: object) -> cfg.ConfigOpts:
        store = f"sqlite:///{tmp_path / 'traces.db'}"
        options = {"enabled": True, "connection_string": store, "points": "", **options}
        path.write_text("\n".join(["[profiler]", *(f"{name} = {value}" for name, value in options.items()), ""]))
        if began:
            conf.mutate_config_files()
        else:
            began.append(True)
            conf(["--config-file", str(path)])
            initializer.init_from_conf(conf=conf, context={}, project="shop", service="api", host="host")
        assert not faults()
        return conf

    return write


@pytest.mark.parametrize("switch", layers.LIBRARIES)
def test_a_switch_is_an_option_that_follows_mutate_and_the_policy(switch: str) -> None:
    row = SETTINGS[switch]
    assert (row.kind.word, row.mutable, row.policy) == ("true or false", True, True)


@pytest.mark.parametrize("switch", layers.LIBRARIES)
def test_a_layer_follows_its_switch(configured: Write, switch: str) -> None:
    configured()
    assert registry.in_force() == layers_of()
    without = [library for library in layers_of() if library not in layers.LIBRARIES[switch]]
    for value, on in ((True, layers_of(switch)), (False, without), (True, layers_of(switch))):
        configured(**{switch: value})
        assert registry.in_force() == on
    configured(**{switch: True}, enabled=False)
    assert registry.in_force() == [], "a service that is not traced pays nothing"


@pytest.mark.parametrize("switch", layers.LIBRARIES)
def test_a_layer_that_is_on_from_the_start_is_turned_off_by_the_policy(
    configured: Write, tmp_path: Path, switch: str
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"services: {{'shop-*': {{{switch}: false}}}}")
    configured(**{switch: True})
    assert registry.in_force() == layers_of(switch)
    configured(**{switch: True}, policy_file=policy)
    assert not set(registry.in_force()) & set(layers.LIBRARIES[switch])


@pytest.mark.parametrize("switch", layers.LIBRARIES)
def test_a_policy_turns_a_layer_on_at_the_start(configured: Write, tmp_path: Path, switch: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"services: {{'shop-*': {{{switch}: true}}}}")
    configured(policy_file=policy)
    assert registry.in_force() == layers_of(switch)


@pytest.mark.parametrize(("library", "switch"), LAYERS)
def test_a_layer_that_instrument_names_is_on_where_its_switch_is_not_set(
    configured: Write, library: str, switch: str
) -> None:
    configured(instrument=library)
    assert registry.in_force() == layers_of(switch)
    configured(instrument=library, **{switch: False})
    assert library not in registry.in_force()
    configured(instrument=library)
    assert registry.in_force() == layers_of(switch)


@pytest.mark.parametrize(("library", "switch"), LAYERS)
def test_a_switch_wins_over_instrument(configured: Write, library: str, switch: str) -> None:
    configured(instrument=library, **{switch: False})
    assert library not in registry.in_force()


def test_what_code_has_decided_stays_until_the_switch_changes(configured: Write) -> None:
    from requests.adapters import HTTPAdapter

    original = HTTPAdapter.send
    requests.enable()
    configured()
    configured(trust_incoming=trust.ALL)
    assert HTTPAdapter.send is not original
    configured(trace_requests=True)
    configured(trace_requests=False)
    assert HTTPAdapter.send is original


def test_a_service_that_begins_again_with_a_layer_off_has_it_off(tmp_path: Path) -> None:
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([])
    conf.set_override("connection_string", f"sqlite:///{tmp_path / 'traces.db'}", "profiler")
    conf.set_override("points", [], "profiler")
    for on, in_force in ((True, layers_of("trace_requests")), (False, layers_of())):
        conf.set_override("trace_requests", on, "profiler")
        initializer.init_from_conf(conf=conf, context={}, project="shop", service="api", host="host")
        assert registry.in_force() == in_force


def test_a_layer_that_cannot_be_turned_on_leaves_the_others_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layers.SWITCHES, "broken", "trust_incoming")
    monkeypatch.setitem(registry._MODULES, "broken", ("osprofiler.instrumentation.broken",))
    off = config.Settings()
    registry.follow(off, config.Settings(trust_incoming=trust.ALL, trace_requests=True))
    assert set(registry.in_force()) == set(layers.LIBRARIES["trace_requests"])
    assert faults() == {"fault.layer.broken": 1}


@pytest.mark.parametrize("library", layers.SWITCHES)
def test_a_module_is_imported_when_its_layer_is_turned_on_first(library: str) -> None:
    switch, module = layers.SWITCHES[library], f"osprofiler.instrumentation.{library}"
    package = library.partition("_")[0]
    program = f"""
import sys
from osprofiler import config, initializer
from osprofiler.instrumentation import registry
off, on = config.Settings({switch}=False), config.Settings({switch}=True)
registry.follow(on, off)
print({module!r} in sys.modules, {package!r} in sys.modules)
registry.follow(off, on)
print({module!r} in sys.modules, {package!r} in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "True False"]


@pytest.mark.parametrize("switch", layers.LIBRARIES)
def test_a_layer_is_in_the_documentation_s_table(switch: str) -> None:
    page = (pages.REPOSITORY / "doc/source/layers.rst").read_text("utf-8")
    row = page.partition(f"   * - ``{switch}``\n")[2].partition("   * - ")[0]
    for library in layers.LIBRARIES[switch]:
        assert f"``{library}``" in row


#: A receiver has to look at what it receives before it knows what the sender asks for. And nobody needs to ask for what
#: is on by default.
RECEIVING = ("trace_grpc", "trace_notifications", "trace_wsgi")
ASKABLE = [
    library
    for library in layers.SWITCHES
    if layers.SWITCHES[library] not in RECEIVING and not SETTINGS[layers.SWITCHES[library]].default
]


@pytest.mark.parametrize("library", ASKABLE)
def test_a_request_can_ask_for_each_layer(library: str) -> None:
    name = SETTINGS[layers.SWITCHES[library]].asked_as
    assert name in (layers.SWITCHES[library].removeprefix("trace_"), "sql")
    module = importlib.import_module(f"osprofiler.instrumentation.{library}")
    assert list(inspect.signature(module.instrument).parameters) == ["when"]


@pytest.mark.parametrize("switch", sorted({layers.SWITCHES[library] for library in ASKABLE}))
def test_on_request_a_layer_is_in_place_for_those_who_ask(configured: Write, switch: str) -> None:
    libraries, name = sorted(layers.LIBRARIES[switch]), SETTINGS[switch].asked_as
    configured(on_request=name)
    assert (registry.in_force(), registry.on_request()) == (layers_of(), libraries)
    configured(on_request=name, **{switch: True})
    assert (registry.in_force(), registry.on_request()) == (layers_of(switch), [])
    configured(on_request=name)
    assert (registry.in_force(), registry.on_request()) == (layers_of(), libraries)
    configured(on_request=name, enabled=False)
    assert (registry.in_force(), registry.on_request()) == ([], [])
    configured()
    assert (registry.in_force(), registry.on_request()) == (layers_of(), [])


def test_what_code_has_turned_on_is_on_for_all_with_on_request_too(configured: Write) -> None:
    from requests.adapters import HTTPAdapter

    configured()
    registry.instrument("requests")
    configured(on_request="requests")
    assert "requests" in registry.in_force()
    configured()
    assert "requests" in registry.in_force()
    registry.uninstrument("requests")
    assert not hasattr(HTTPAdapter.send, "__wrapped__")


def test_a_layer_that_was_never_asked_for_leaves_the_original(configured: Write) -> None:
    from requests.adapters import HTTPAdapter

    original = HTTPAdapter.send
    configured()
    assert HTTPAdapter.send is original
    configured(on_request="requests")
    assert HTTPAdapter.send is not original
    configured()
    assert HTTPAdapter.send is original


@pytest.mark.parametrize("library", layers.SWITCHES)
def test_a_module_is_named_after_its_library(library: str) -> None:
    module = importlib.import_module(f"osprofiler.instrumentation.{library}")
    assert callable(module.instrument)
    assert callable(module.uninstrument)
