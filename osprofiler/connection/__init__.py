# SPDX-License-Identifier: Apache-2.0
"""Connection strings: their parts and options, and the secrets in them that no message may tell."""
