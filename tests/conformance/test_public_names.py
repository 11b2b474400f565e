# SPDX-License-Identifier: Apache-2.0
"""Drop-in: every public name of osprofiler 4.4.0 is here, with its signature, its defaults and its options.

The table is data: ``public_names.json``, printed by ``public_names.py`` under stock.
"""

import importlib
import importlib.metadata
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from osprofiler import initializer, notifier, opts, profiler, web
from tests.conformance import public_names

STOCK: dict[str, Any] = json.loads(Path(__file__).with_name("public_names.json").read_text())

NAMES = [(module, name, entry) for module, names in STOCK["modules"].items() for name, entry in names.items()]


def same_parameters(ours: Any, stock: list[list[str]] | None) -> None:
    """Whether *ours* has stock's parameters, in the same order and with the same defaults. Optional ones may follow."""
    if stock is None:
        return
    mine = public_names._signature(ours)
    assert mine is not None
    named = [each for each in stock if not each[1].startswith("VAR_")]
    assert [each for each in mine if not each[1].startswith("VAR_")][: len(named)] == named
    for each in stock:
        if each[1].startswith("VAR_"):
            assert each[1] in [other[1] for other in mine], f"{each[0]} is not taken"
    for name, kind, default in mine:
        if name not in [each[0] for each in named] and not kind.startswith("VAR_"):
            assert default, f"{name} is new and has no default"


@pytest.mark.parametrize("module", STOCK["modules"])
def test_each_module_is_there(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize(("module", "name", "entry"), NAMES, ids=[f"{row[0]}.{row[1]}" for row in NAMES])
def test_each_name_is_there(module: str, name: str, entry: dict[str, Any]) -> None:
    ours = getattr(importlib.import_module(module), name)
    if entry["kind"] == "constant":
        assert repr(ours) == entry["value"]
        return
    assert callable(ours)
    assert inspect.isclass(ours) == (entry["kind"] == "class")
    same_parameters(ours, entry["parameters"])
    for member, told in entry.get("members", {}).items():
        attribute = getattr(ours, member)
        raw = inspect.getattr_static(ours, member)
        if told["kind"] in ("staticmethod", "classmethod", "property"):
            assert type(raw).__name__ == told["kind"], member
        if "parameters" in told:
            same_parameters(attribute, told["parameters"])
    own = [f"{base.__module__}.{base.__qualname__}" for base in inspect.getmro(ours)] if entry.get("bases") else []
    for base in entry.get("bases", []):
        assert base in own


@pytest.mark.parametrize("name", STOCK["options"])
def test_each_option_is_there(name: str) -> None:
    stock, ours = STOCK["options"][name], public_names._options()[name]
    assert ours["secret"] >= stock["secret"]  # a connection string may have a password: it is secret here
    assert {**ours, "secret": None} == {**stock, "secret": None}


def test_the_options_are_registered_on_the_global_configuration() -> None:
    for name in STOCK["options"]:
        group, option = name.split(".")
        getattr(getattr(cfg.CONF, group), option)


@pytest.mark.parametrize("point", STOCK["entry points"])
def test_each_entry_point_is_there(point: str) -> None:
    group, _, rest = point.partition(": ")
    name, _, value = rest.partition(" = ")
    (entry,) = [
        each
        for each in importlib.metadata.distribution("osprofiler").entry_points
        if (each.group, each.name) == (group, name)
    ]
    assert entry.value == value
    assert callable(entry.load())


def test_the_distribution() -> None:
    assert importlib.metadata.version("osprofiler") == "5.0.0"


def test_the_headers() -> None:
    assert (web.X_TRACE_INFO, web.X_TRACE_HMAC) == ("X-Trace-Info", "X-Trace-HMAC")


# Arguments of services from pike to 4.x, which 4.4.0 does not take any more


def test_older_arguments_are_taken() -> None:
    application = object()
    factory = web.WsgiMiddleware.factory({}, hmac_keys="a,b", enabled="yes", name="Tracer", whatever="1")
    assert isinstance(factory(application), web.WsgiMiddleware)
    assert callable(notifier.create("Messaging", object(), {}, "messaging://", "nova", "nova-api", "host"))
    assert callable(notifier.create("messaging://", "nova", "nova-api", "host", context={}, conf=cfg.CONF))
    notifier.clear_notifier_cache()
    parameters = inspect.signature(initializer.init_from_conf).parameters
    assert list(parameters)[:5] == ["conf", "context", "project", "service", "host"]
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD


def test_set_defaults_takes_a_configuration_that_knows_nothing() -> None:
    conf = cfg.ConfigOpts()
    opts.set_defaults(conf, enabled=True, trace_sqlalchemy=True, hmac_keys="k", connection_string="redis://x")
    conf([])
    assert opts.is_trace_enabled(conf)
    assert opts.is_db_trace_enabled(conf)
    assert (conf.profiler.hmac_keys, conf.profiler.connection_string) == ("k", "redis://x")
    opts.set_defaults(conf)
    assert opts.is_trace_enabled(conf)


def test_the_profiler_has_what_services_read() -> None:
    view = profiler._Profiler("key", base_id="b", parent_id="p")
    assert (view.hmac_key, view.get_base_id(), view.get_parent_id(), view.get_id()) == ("key", "b", "b", "p")
