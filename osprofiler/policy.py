# SPDX-License-Identifier: Apache-2.0
"""Read a policy file in a program. Its format: :mod:`osprofiler.config.policy_text`."""

from osprofiler.config.policy import Policy
from osprofiler.config.policy_text import PolicyError, load, parse

__all__ = ["Policy", "PolicyError", "load", "parse"]
