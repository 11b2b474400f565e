# SPDX-License-Identifier: Apache-2.0
"""One handler per protocol: it opens the span, sets tags, injects the context, decides what is an error, and closes.

No handler knows a library. The adapters in ``instrumentation`` translate.
"""
