# SPDX-License-Identifier: Apache-2.0
"""The patches that come with osprofiler, applied to installed packages and taken back: all files of one, or none."""
