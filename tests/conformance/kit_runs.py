# SPDX-License-Identifier: Apache-2.0
"""Run a shipped kit on one subject, to check that it passes a right one and fails a wrong one."""

from typing import Any

import pytest


def failed(pytester: pytest.Pytester, kit: type, fixture: str, subject: str, test: str = "test_") -> int:
    """Run the tests of *kit* with *test* in their names, and *subject* as *fixture*. Returns the number that fail."""
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
