# SPDX-License-Identifier: Apache-2.0
"""``nova_unit_tests.py MODULE...``: run a project's own tests; the last line is their outcomes by name, as JSON."""

import json
import sys
import unittest


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.found = {}

    def addSuccess(self, test):
        self.found.setdefault(test.id(), "passed")

    def addFailure(self, test, fault):
        self.found[test.id()] = "failed"

    def addError(self, test, fault):
        self.found[test.id()] = "failed"

    def addSkip(self, test, reason):
        self.found[test.id()] = "skipped"

    def addExpectedFailure(self, test, fault):
        self.found[test.id()] = "passed"


modules, sys.argv[1:] = sys.argv[1:], []
outcomes = Outcomes()
unittest.defaultTestLoader.loadTestsFromNames(modules).run(outcomes)
print("\n" + json.dumps(outcomes.found))
