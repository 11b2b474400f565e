# SPDX-License-Identifier: Apache-2.0
"""A small cloud that boots a server, as nova does. It shows a trace across services, and is a test bed.

``cloud`` starts the processes. Every other module is one role of the cloud, or is shared by roles. The command is
``osprofiler.cmd.demo``.
"""
