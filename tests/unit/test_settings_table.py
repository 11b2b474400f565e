# SPDX-License-Identifier: Apache-2.0
"""One row makes a setting: its option, its field, its name in a policy, and its documentation."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from oslo_config import cfg

from osprofiler import config, opts, policy
from osprofiler.config import kinds, options
from osprofiler.config import settings as in_force
from osprofiler.config.configuration import Configuration
from osprofiler.config.row import Row, rows, setting, settings
from osprofiler.testing import tables
from tests.unit import settings_table
from tests.unit.core_kit import a_clean_process

_PAGE = Path(__file__).resolve().parents[2] / "doc/source/configuration.rst"


@dataclasses.dataclass(frozen=True)
class OneMore(config.Settings):
    """The table of settings with one more row."""

    colour: str = setting(Row(kinds.choice("red", "blue"), "red", "The colour.", mutable=True, policy=True))


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with a_clean_process():
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "service.conf"


@pytest.fixture
def conf(file: Path) -> cfg.ConfigOpts:
    """Read a configuration from *file*, with the options of the larger table."""
    conf = cfg.ConfigOpts()
    for group in settings_table.GROUPS:
        conf.register_opts(opts.options(group, OneMore), group=group)
    file.write_text("[profiler]\ncolour = blue\n")
    conf(["--config-file", str(file)])
    return conf


def test_one_row_is_an_option_and_a_field_that_follows_a_mutation_and_a_policy(
    conf: cfg.ConfigOpts, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "_current", OneMore())
    seen = [(OneMore().colour, "as declared")]

    def act(before: config.Settings, after: config.Settings) -> None:
        assert isinstance(after, OneMore)
        seen.append((after.colour, "acted on"))

    configuration = Configuration(conf, lambda: "nova-api", act, OneMore)
    seen.append((vars(config.current())["colour"], "configured"))
    file.write_text("[profiler]\ncolour = red\n")
    conf.mutate_config_files()
    configuration.mutated(conf, {"colour"})
    configuration.follow(policy.parse("services: {nova-*: {colour: blue}}", OneMore))
    assert seen == [("red", "as declared"), ("blue", "configured"), ("red", "acted on"), ("blue", "acted on")]


def test_one_row_is_a_name_in_a_policy_with_its_choices() -> None:
    assert policy.parse("services: {a: {colour: blue}}", OneMore).of("a") == {"colour": "blue"}
    with pytest.raises(policy.PolicyError, match="colour: must be one of red, blue"):
        policy.parse("services: {a: {colour: green}}", OneMore)
    with pytest.raises(policy.PolicyError, match="unknown setting 'colour'"):
        policy.parse("services: {a: {colour: blue}}")


def test_one_row_is_a_row_of_the_documentation() -> None:
    assert "``colour`` (mutable)\n     - ``red``\n     - one of red, blue\n     - yes\n     - The colour." in (
        settings_table.table("profiler", OneMore)
    )
    assert "``colour``" not in settings_table.table("profiler")


def test_an_option_that_is_read_once_is_no_field() -> None:
    @dataclasses.dataclass(frozen=True)
    class WithOption(config.Settings):
        shape: ClassVar = Row(kinds.integer(3), 4, "How many corners.")

    (option,) = [option for option in opts.options("profiler", WithOption) if option.name == "shape"]
    assert (type(option), option.default, option.type.min, option.mutable) == (cfg.IntOpt, 4, 3, False)
    assert "shape" not in settings(WithOption)
    assert WithOption() == WithOption(enabled=True)


def test_fields_and_rows_are_the_same_names() -> None:
    fields = {field.name for field in dataclasses.fields(config.Settings)}
    assert fields == set(settings(config.Settings))
    assert fields < set(rows(config.Settings))


def test_what_a_policy_can_have_is_read_by_its_kind() -> None:
    readable = {
        name: kind.from_policy or kind.values
        for name, kind in ((name, row.kind) for name, row in rows(config.Settings).items() if row.policy)
    }
    assert None not in readable.values(), readable


def test_a_value_that_cannot_be_used_is_the_default(conf: cfg.ConfigOpts, file: Path) -> None:
    file.write_text("[profiler]\nflush_interval = nan\n")
    conf.reload_config_files()
    assert options.read(conf, table=OneMore)["flush_interval_s"] == 1.0


def test_a_key_is_in_no_text_of_the_settings() -> None:
    assert "geheim" not in repr(config.Settings(hmac_keys=("geheim",)))


@pytest.mark.parametrize("group", settings_table.GROUPS)
def test_the_tables_in_the_documentation_are_the_codes(group: str) -> None:
    """Made by ``python -m tests.unit.settings_table``."""
    assert tables.between_marks(_PAGE.read_text("utf-8"), settings_table.name(group)) == settings_table.table(group)
