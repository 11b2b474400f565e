# SPDX-License-Identifier: Apache-2.0
"""Style checks for flake8; services that use osprofiler can run them."""
