# SPDX-License-Identifier: Apache-2.0
"""What is worked out of a trace: the critical path, self times, statistics, differences, clock skew."""
