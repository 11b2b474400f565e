# SPDX-License-Identifier: Apache-2.0
"""The policy file, for programs: see :mod:`osprofiler.config.policy_text` for its format."""

from osprofiler.config.policy import Policy
from osprofiler.config.policy_text import PolicyError, load, parse

__all__ = ["Policy", "PolicyError", "load", "parse"]
