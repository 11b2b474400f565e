# SPDX-License-Identifier: Apache-2.0
"""Secrets become ``***`` before a span leaves the process.

A value is a secret if its name is the name of a secret. Its name is the key of a mapping, the first of a pair, the
column of a statement, or in a text the word before the value. Tokens with a known form are secrets under any name.

``by_name`` masks in the caller. ``applying`` masks in the reporter, after the queue; a callable that gets records at
once gets them masked.
"""
