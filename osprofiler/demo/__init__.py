# SPDX-License-Identifier: Apache-2.0
"""A small cloud that boots a server, similar to nova: an example of a trace across services, and a test bed.

``osprofiler.cmd.demo`` is the command. ``cloud`` runs the processes. ``api``, ``image``, ``conductor``, ``scheduler``
and ``compute`` are the services; the other modules are shared.
"""
