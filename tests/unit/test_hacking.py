# SPDX-License-Identifier: Apache-2.0
"""The flake8 checks, each on lines that it must report and lines that it must not."""

import io
import tokenize

import pytest

from osprofiler.hacking import checks


@pytest.mark.parametrize(
    ("line", "offsets"),
    [
        ('f("a")', []),
        ("f('a')", [2]),
        ('f("it\'s")', []),
        ("""f(\"\"\"it's\"\"\")""", []),
        ("x = rb'a'", [4]),
        ('x = 1  # it\'s a comment, and "fine"', []),
        ("f(\"a\", 'b', 'c')", [7]),
    ],
)
def test_quotes(line: str, offsets: list[int]) -> None:
    assert [at for at, _ in checks.check_quotes(line, "x.py")] == offsets
    assert list(checks.check_quotes(line, "x.py", noqa=True)) == []


@pytest.mark.parametrize(("line", "count"), [("x = dict()", 1), ("x = list()", 1), ("x = dict(a=1)", 0), ("{} []", 0)])
def test_literals(line: str, count: int) -> None:
    assert len(list(checks.check_no_constructor_data_struct(line, "x.py"))) == count
    assert list(checks.check_no_constructor_data_struct(line, "x.py", noqa=True)) == []


@pytest.mark.parametrize(
    ("line", "violations"),
    [
        ('"%(a)s" % {"a": 1}', 1),
        ('("%(a)s") % {"a": 1}', 1),
        ('"%(a)s %(b)s" % d', 0),
        ('"%(a)s" "%(b)s" % d', 0),
        ('"%(a)s %(a)d" % d', 1),
        ('"%s" % 1', 0),
        ('f("%(a)s", 5 % 3)', 0),
    ],
)
def test_mapping_formats(line: str, violations: int) -> None:
    tokens = list(tokenize.generate_tokens(io.StringIO(line).readline))
    assert len(list(checks.check_dict_formatting_in_string(line, tokens))) == violations
    assert list(checks.check_dict_formatting_in_string(line, tokens, noqa=True)) == []


@pytest.mark.parametrize(
    ("line", "is_violation"),
    [
        ("    :raises ValueError: if it is no number", False),
        ("    :raise ValueError: if it is no number", True),
        ("    :raises: ValueError", True),
        ("    :raises ValueError if it is no number", True),
        ("    raises nothing", False),
    ],
)
def test_raises(line: str, is_violation: bool) -> None:
    assert (checks.check_raises(line, "x.py") is not None) is is_violation


def test_flake8_finds_them() -> None:
    plugins = [getattr(checks, name) for name in dir(checks) if name.startswith("check_")]
    assert len(plugins) == 4
    assert all(plugin.name and plugin.version for plugin in plugins)
