# SPDX-License-Identifier: Apache-2.0
"""Adapters of libraries on the handlers, the decorators, and the names that ``[profiler] instrument`` takes."""
