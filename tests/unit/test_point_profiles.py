# SPDX-License-Identifier: Apache-2.0
"""Which points are in force: by the option, the policy, files and shipped profiles."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from oslo_config import cfg

from osprofiler import config, initializer, opts, profiler
from osprofiler._runtime import guard
from osprofiler.concurrency import isolation
from osprofiler.config import switches
from osprofiler.config.policy_text import PolicyError, parse
from osprofiler.config.row import rows
from osprofiler.instrumentation import points, registry
from osprofiler.instrumentation.points import choice, profile
from osprofiler.testing import recording
from osprofiler.testing.process import clean_process
from osprofiler.tracer import global_tracer
from osprofiler.tracer.sampling import sampler_for
from tests import pages

MODULE = "service_of_profiles"
POINT = f"{MODULE}:function"


@pytest.fixture(autouse=True)
def service() -> Iterator[Any]:
    """A module with two functions, in a process whose tracing is as it was before."""
    module: Any = ModuleType(MODULE)
    sys.modules[MODULE] = module
    exec("def function(): return 1\ndef other(): return 2\n", vars(module))
    switches.reset()
    with clean_process():
        yield module
        points.follow("", config.Settings())
        registry.uninstrument()
        isolation.uninstall()
        switches.reset()
        global_tracer.get_tracer().sampler = sampler_for("", "test")
    del sys.modules[MODULE]


def recorded(service: Any) -> list[str]:
    with recording() as spans:
        assert (service.function(), service.other()) == (1, 2)
    return [span.operation.rpartition(".")[2] for span in spans]


Write = Callable[..., cfg.ConfigOpts]


@pytest.fixture
def configured(tmp_path: Path) -> Write:
    """Write ``[profiler]`` into a file; the first call starts a service with it, later ones mutate it."""
    path, conf = tmp_path / "service.conf", cfg.ConfigOpts()
    opts.register(conf)

    def write(**options: object) -> cfg.ConfigOpts:
        options = {"enabled": True, "connection_string": f"sqlite:///{tmp_path / 'traces.db'}", **options}
        path.write_text("\n".join(["[profiler]", *(f"{name} = {value}" for name, value in options.items()), ""]))
        if conf._namespace is None:
            conf(["--config-file", str(path)])
            initializer.init_from_conf(conf=conf, context={}, project="shop", service="till", host="host")
        else:
            conf.mutate_config_files()
        return conf

    write.conf = conf  # type: ignore[attr-defined]
    return write


# Files and profiles


def refuse(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize("name", profile.shipped())
def test_shipped_profiles_have_no_mistakes(name: str) -> None:
    loaded = profile.load(profile.SHIPPED / f"{name}.yaml", refuse)
    assert loaded.points or name == profile.DEFAULT
    assert set(loaded.instrument) <= set(registry.known())
    # Arguments are an operator's choice: rendering those of a whole service costs, and shows much.
    assert all(spec.hide_args or not spec.rate for spec in loaded.points)
    assert len({spec.target for spec in loaded.points}) == len(loaded.points)


def test_a_profile_for_each_of_these_projects_is_shipped() -> None:
    assert {"cinder", "glance", "heat", "ironic", "keystone", "neutron", "nova", "placement", "zaqar"} <= set(
        profile.shipped()
    )


@pytest.mark.parametrize(
    ("points_option", "instrument", "project", "expected"),
    [
        (None, (), "nova", "nova"),
        (None, (), "Zaqar", "zaqar"),
        (None, (), "shop", "default"),
        (("auto",), ("threading",), "shop", "default"),
        (None, ("threading",), "nova", None),
        ((), (), "nova", None),
        (("auto",), ("threading",), "nova", "nova"),
        (("glance",), (), "nova", "glance"),
    ],
)
def test_which_profile_counts(
    points_option: tuple[str, ...] | None, instrument: tuple[str, ...], project: str, expected: str | None
) -> None:
    wanted = profile.load(profile.SHIPPED / f"{expected}.yaml", refuse) if expected else profile.Profile()
    assert choice.chosen(project, points_option, instrument, refuse) == wanted
    libraries = points.instrumentations(project, points_option, instrument, lambda _: False)
    assert libraries == tuple(dict.fromkeys((*instrument, *wanted.instrument)))


def test_entries_add_up(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("instrument: [threading]\npoints:\n- a:f name=b  # why\n- a:C+ off\n")
    chosen = choice.chosen("nova", ("zaqar", str(file), "a:g"), (), refuse)
    zaqar = choice.chosen("nova", ("zaqar",), (), refuse)
    assert chosen.instrument == (*zaqar.instrument, "threading")
    assert [spec.target for spec in chosen.points[len(zaqar.points) :]] == ["a:f", "a:C+.*", "a:g"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be used: "),
        ("- a:f", "only these keys"),
        ("point: []", "only these keys"),
        ("points: a:f", "points: a list"),
        ("drivers: a:f", "drivers: a list"),
        ("instrument_if: [redis]", "instrument_if: lists"),
        ("instrument_if: {a: redis}", "a: a list"),
        ("points: [", "not YAML"),
        ("points: [a]", "'a': after the module"),
        ("points: [{a: f}]", "a point is wanted"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_error(
    text: str | None, reason: str, configured: Write, service: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    configured(points=f"{file}, {POINT}")
    assert recorded(service) == ["function"]
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert message.startswith(f"[profiler] points: {file}: ")
    assert reason in message


# The option and the policy


def test_points_follow_the_configuration(configured: Write, service: Any, tmp_path: Path) -> None:
    original = service.function
    file = tmp_path / "mine.yaml"
    file.write_text(f"points: ['{POINT}']")
    configured(points=file)
    assert recorded(service) == ["function"]
    configured(points=f"{file}, {POINT} off, {MODULE}:other")
    assert recorded(service) == ["other"]
    assert service.function is original
    configured(points=f"{file}", enabled=False)
    assert service.function is original
    configured(points=f"{file}")
    assert recorded(service) == ["function"]
    file.write_text("")
    configured(points=f"{file}", trace_arguments="none")  # any mutation has the file read again
    assert service.function is original
    assert not [name for name in guard.counters if name.startswith("fault.")]


@pytest.mark.parametrize(("kind", "switch"), profile.KINDS.items())
def test_points_of_a_kind_follow_its_switch(
    kind: str, switch: str, configured: Write, service: Any, tmp_path: Path
) -> None:
    original = service.function
    file, off, on = (tmp_path / name for name in ("mine.yaml", "off.yaml", "on.yaml"))
    file.write_text(f"points: ['{MODULE}:other']\n{kind}: ['{POINT}']\n")
    configured(points=file)
    assert recorded(service) == ["function", "other"]
    configured(points=file, **{switch: False})
    assert recorded(service) == ["other"]
    assert service.function is original
    configured(points=file)
    assert recorded(service) == ["function", "other"]
    off.write_text(f"services: {{'shop-*': {{{switch}: false}}}}")
    configured(points=file, policy_file=off)
    assert recorded(service) == ["other"]
    assert service.function is original
    on.write_text(f"services: {{'shop-*': {{{switch}: true}}}}")
    configured(points=file, policy_file=on, **{switch: False})
    assert recorded(service) == ["function", "other"]
    assert not [name for name in guard.counters if name.startswith("fault.")]


@pytest.mark.parametrize("switch", ["trace_rpc", *profile.KINDS.values()])
def test_a_switch_follows_mutate_and_the_policy(switch: str) -> None:
    row = rows(config.Settings)[switch]
    assert (row.kind.word, row.default, row.mutable, row.policy) == ("true or false", True, True, True)


def test_a_point_of_the_operator_has_no_kind(configured: Write, service: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"drivers: ['{POINT}']")
    configured(points=f"{file}, {POINT}", trace_drivers=False)
    assert recorded(service) == ["function"]


def test_zaqars_own_points_of_pooling_follow_the_switch(configured: Write) -> None:
    class Controller:
        def lookup(self) -> list[int]:
            return list(self.each())

        def each(self) -> Iterator[int]:
            yield 1

    controller: Any = Controller()
    profiler.trace_cls("pooling_catalogue_controller")(controller)  # as Zaqar does it: an object, not a class
    for on, seen in ((True, 2), (False, 0), (True, 2)):
        configured(trace_pooling=on)
        with recording() as spans:
            assert controller.lookup() == [1]
        assert len(spans) == seen


def test_points_follow_the_policy(configured: Write, service: Any, tmp_path: Path) -> None:
    original = service.function
    one, none = tmp_path / "one.yaml", tmp_path / "none.yaml"
    one.write_text(f"services:\n  shop-*:\n    points: ['{POINT} name=work', auto]\n")
    none.write_text("services:\n  shop-*:\n    points: []\n")
    configured(policy_file=one, points=f"{MODULE}:other")
    assert recorded(service) == ["function"]
    configured(policy_file=none, points=POINT)
    assert service.function is original
    configured(policy_file="", points=POINT)
    assert recorded(service) == ["function"]


@pytest.mark.parametrize("value", ["auto", "[]", f"[nova, '{POINT} off', /a/file.yaml]"])
def test_what_a_policy_may_say(value: str) -> None:
    (settings,) = [parse(f"services:\n  a:\n    points: {value}\n").of("a")]
    assert isinstance(settings["points"], tuple)


@pytest.mark.parametrize("value", [f"['{POINT} of']", "{a: b}", "[[a]]", "true"])
def test_what_a_policy_may_not_say(value: str) -> None:
    with pytest.raises(PolicyError, match="line 3: points: "):
        parse(f"services:\n  a:\n    points: {value}\n")


def test_a_profile_instruments_at_the_start(configured: Write, tmp_path: Path) -> None:
    conf = configured(points="heat")
    assert {"messaging", "requests"} <= set(registry.in_force())
    assert conf.profiler.trace_requests is True
    configured(points="heat", trace_requests=False)
    assert "requests" not in registry.in_force()


@pytest.mark.parametrize("own", ["trace_message_store", "trace_management_store"])
def test_commands_of_zaqars_stores_follow_its_own_options(own: str, configured: Write) -> None:
    conf = configured.conf  # type: ignore[attr-defined]
    for name in ("trace_message_store", "trace_management_store"):
        conf.register_opt(cfg.BoolOpt(name, default=False), "profiler")
    configured(points="zaqar", **{own: True}, trace_redis=False)
    assert "pymongo" in registry.in_force()
    assert "redis" not in registry.in_force(), "the operator's switch wins"


def test_zaqar_without_its_own_options_shows_no_commands(configured: Write) -> None:
    configured(points="zaqar")
    assert "requests" in registry.in_force()
    assert not {"redis", "pymongo"} & set(registry.in_force())


def test_an_operators_switch_wins_over_a_profile(configured: Write) -> None:
    configured(points="heat", trace_requests=False)
    assert "requests" not in registry.in_force()
    assert "messaging" in registry.in_force()


# The documentation


def test_the_files_on_the_page_have_no_mistakes(tmp_path: Path) -> None:
    (page,) = [page for page in pages.DOCUMENTATION if page.name == "points.rst"]
    mine, kinds, condition, policy = [block.text for block in pages.blocks(page) if block.language == "yaml"]
    file = tmp_path / "mine.yaml"
    for text, switches_of_points, conditions in (
        (mine, ["", "", ""], ()),
        (kinds, ["", "trace_db_api", "trace_drivers"], ()),
        (condition, [], (("trace_message_store", "redis"),)),
    ):
        file.write_text(text)
        loaded = profile.load(file, refuse)
        assert (sorted(spec.switch for spec in loaded.points), loaded.instrument_if) == (switches_of_points, conditions)
    assert parse(policy).of("nova-compute")["points"][0] == "auto"
    for name in profile.shipped():
        libraries = ", ".join(profile.load(profile.SHIPPED / f"{name}.yaml", refuse).instrument) or "none"
        assert f"   * - ``{name}``\n     - {libraries}\n" in page.read_text()
