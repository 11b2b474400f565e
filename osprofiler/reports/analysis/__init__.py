# SPDX-License-Identifier: Apache-2.0
"""Analyses of a trace, or of several traces."""
