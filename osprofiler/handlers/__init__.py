# SPDX-License-Identifier: Apache-2.0
"""One handler a protocol: it opens the span, sets tags, injects the context, decides what an error is, and closes.

No library is known here: adapters in ``instrumentation`` translate.
"""
