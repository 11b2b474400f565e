# SPDX-License-Identifier: Apache-2.0
"""Forks, branches and joins, and one module per execution model: threads, greenthreads, tasks, pools, processes."""
