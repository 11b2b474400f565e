# SPDX-License-Identifier: Apache-2.0
"""A small cloud that boots a server, in the manner of nova: what a trace across services looks like, and a test bed.

``main`` is the command, ``cloud`` the processes; every other module is one role of the cloud, or what roles share.
"""
