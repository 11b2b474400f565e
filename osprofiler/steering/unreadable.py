# SPDX-License-Identifier: Apache-2.0
"""The error of a source that cannot be read."""

from __future__ import annotations


class Unreadable(Exception):
    """The source cannot be read now. The text is one line without secrets."""
