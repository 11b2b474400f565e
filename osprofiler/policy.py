# SPDX-License-Identifier: Apache-2.0
"""The policy file, for programs: see :mod:`osprofiler.config.policy` for its format."""

from osprofiler.config.policy import Policy, PolicyError, load, parse

__all__ = ["Policy", "PolicyError", "load", "parse"]
