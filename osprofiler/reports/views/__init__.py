# SPDX-License-Identifier: Apache-2.0
"""The written forms of a trace."""
