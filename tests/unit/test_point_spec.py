# SPDX-License-Identifier: Apache-2.0
"""The line that asks for trace points."""

import pytest

from osprofiler.config import point_spec
from osprofiler.config.point_spec import PointSpec


@pytest.mark.parametrize(
    ("line", "spec"),
    [
        ("a.b:f", PointSpec("a.b", (), False, "f")),
        ("a:*", PointSpec("a", (), False, "*")),
        ("a:instance_*", PointSpec("a", (), False, "instance_*")),
        ("a:C", PointSpec("a", (), False, "C")),
        ("a.b:C._m", PointSpec("a.b", ("C",), False, "_m")),
        ("a:C.Inner.m", PointSpec("a", ("C", "Inner"), False, "m")),
        ("a:C+", PointSpec("a", ("C",), True, "*")),
        ("a:C+.m", PointSpec("a", ("C",), True, "m")),
        ("a:C.Inner+._get_[ab]?", PointSpec("a", ("C", "Inner"), True, "_get_[ab]?")),
        ("a:f name=db", PointSpec("a", (), False, "f", name="db")),
        ("a:f  hide_args   name=db ", PointSpec("a", (), False, "f", name="db", hide_args=True)),
        ("a:f rate=0.25", PointSpec("a", (), False, "f", rate=0.25)),
        ("a:f off", PointSpec("a", (), False, "f", rate=0.0)),
        ("a:f off on", PointSpec("a", (), False, "f")),
    ],
)
def test_a_line(line: str, spec: PointSpec) -> None:
    assert point_spec.is_point(line)
    assert point_spec.parse(line) == spec
    assert point_spec.parse(spec.target)[:4] == spec[:4]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "a point is wanted"),
        ("a.b", "after the module"),
        (":f", "a point is wanted"),
        ("a..b:f", "a point is wanted"),
        ("a-b:f", "a point is wanted"),
        ("1a:f", "a point is wanted"),
        ("a:", "after the module"),
        ("a:C++", "after the module"),
        ("a:C+.Inner.m", "after the module"),
        ("a:C*.m", "after the module"),
        ("a:C.", "after the module"),
        ("a:f()", "after the module"),
        ("a:f nam=x", "'nam=x' is not known"),
        ("a:f name=", "'name=' is not known"),
        ("a:f hide_args=yes", "'hide_args=yes' is not known"),
        ("a:f rate=", "rate="),
        ("a:f rate=2", "rate=2"),
        ("a:f rate=nan", "rate=nan"),
        ("a:f rate=-1", "rate=-1"),
    ],
)
def test_a_line_that_asks_for_nothing(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        point_spec.parse(line)


@pytest.mark.parametrize("text", ["auto", "nova", "/etc/points.yaml", "points.yaml", ""])
def test_names_of_files_and_profiles_are_no_lines(text: str) -> None:
    assert not point_spec.is_point(text)
