# SPDX-License-Identifier: Apache-2.0
"""Where a service's policy comes from, and how the service follows it.

A source (a file, a URL, a key of Redis) has the text of the policy. The follower reads it now and then, checks its
signature, puts it in force, and keeps the last good one on disk. The watch is the flow of control for that. A report
tells the store which policy a process follows.
"""
