# SPDX-License-Identifier: Apache-2.0
"""Patches for OpenStack projects: the files of the repository's ``patches/`` are installed as this package's data."""
