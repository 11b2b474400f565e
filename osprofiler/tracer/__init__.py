# SPDX-License-Identifier: Apache-2.0
"""The Jaeger tracer: its spans, codecs and samplers, and the one tracer of the process."""
