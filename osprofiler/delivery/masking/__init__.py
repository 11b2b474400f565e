# SPDX-License-Identifier: Apache-2.0
"""Secrets become ``***`` before a span leaves the process.

A value is a secret if its name is the name of a secret. Its name is the key of a mapping, the first of a pair, the
column of a statement, or in a text the word before the value. Tokens with a known form are secrets under any name.

The reporter masks, after the queue. A callable that gets records at once gets them masked.
"""

from osprofiler.delivery.masking.applying import arguments, entries, is_secret, masker, record
from osprofiler.delivery.masking.names import MASK

__all__ = ["MASK", "arguments", "entries", "is_secret", "masker", "record"]
