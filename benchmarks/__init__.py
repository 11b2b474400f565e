# SPDX-License-Identifier: Apache-2.0
"""What tracing costs: this project beside every other tracer that a Python service could use (``make bench``)."""
