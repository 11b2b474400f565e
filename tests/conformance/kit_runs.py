# SPDX-License-Identifier: Apache-2.0
"""A shipped kit run on one subject, to see that it passes what is right and fails what is wrong."""

from typing import Any

import pytest


def failed(pytester: pytest.Pytester, kit: type, fixture: str, subject: str, test: str = "test_") -> int:
    """How many tests of *kit* whose names hold *test* fail with *subject*, a ``module:expression``, as *fixture*."""
    module, _, expression = subject.partition(":")
    pytester.makepyfile(
        f"""
        import pytest
        import {kit.__module__} as kits
        import {module} as subjects

        class TestSubject(kits.{kit.__name__}):
            @pytest.fixture
            def {fixture}(self):
                return subjects.{expression}
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", test)
    outcomes: dict[str, Any] = result.parseoutcomes()
    assert outcomes.get("passed", 0) + outcomes.get("failed", 0) > 0, result.stdout.str()
    return int(outcomes.get("failed", 0)) + int(outcomes.get("errors", 0))
