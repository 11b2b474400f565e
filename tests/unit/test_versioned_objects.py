# SPDX-License-Identifier: Apache-2.0
"""Which method of which object a remote call runs."""

from typing import Any

import pytest

from osprofiler.instrumentation.versioned_objects import action


class Instance:
    pass


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"objinst": Instance(), "objmethod": "save", "args": (), "kwargs": {}}, "Instance.save"),
        ({"objinst": {"nova_object.name": "Instance", "nova_object.data": {}}, "objmethod": "save"}, "Instance.save"),
        ({"objinst": {"versioned_object.name": "Node"}, "objmethod": "refresh"}, "Node.refresh"),
        ({"objname": "Flavor", "objmethod": "get_by_id", "object_versions": {}}, "Flavor.get_by_id"),
        ({"objinst": {}, "objmethod": "save"}, "save"),
        ({"objinst": {"nova_object.name": 5}, "objmethod": "save"}, "save"),
        ({"objname": ["Flavor"], "objmethod": "save"}, "save"),
        ({"objmethod": "save"}, "save"),
        ({"objmethod": 5, "objname": "Flavor"}, None),
        ({"instance": Instance()}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_action(arguments: Any, expected: str | None) -> None:
    assert action(arguments) == expected
