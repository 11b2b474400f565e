# SPDX-License-Identifier: Apache-2.0
"""Apply the patches that osprofiler ships to installed packages, and revert them: all files of a patch, or none."""
