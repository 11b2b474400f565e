# SPDX-License-Identifier: Apache-2.0
"""The adapters of libraries, the decorators, and the registry of the names that ``[profiler] instrument`` takes."""
