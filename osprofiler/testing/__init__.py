# SPDX-License-Identifier: Apache-2.0
"""Conformance kits, shipped: third parties subclass them for drivers, propagators and execution models of their own."""
