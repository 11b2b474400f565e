# SPDX-License-Identifier: Apache-2.0
"""Secrets become ``***`` before what a span holds leaves the process.

A value is a secret if its name is one: the key of a mapping, the first of a pair, the column of a statement, and in a
text what stands before the value. So are tokens that show by themselves.

The reporter masks, behind the service. A callable that gets records at once gets them masked at once.
"""

from osprofiler.delivery.masking.applying import arguments, entries, is_secret, masker, record
from osprofiler.delivery.masking.names import MASK
from osprofiler.delivery.masking.values import Masker

__all__ = ["MASK", "Masker", "arguments", "entries", "is_secret", "masker", "record"]
