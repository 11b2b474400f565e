# SPDX-License-Identifier: Apache-2.0
"""Style checks for flake8, which services that use osprofiler may run."""
