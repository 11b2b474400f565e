# SPDX-License-Identifier: Apache-2.0
"""The words that every room shares: record, ids, names, tags, semantic conventions, and Jaeger's JSON."""
