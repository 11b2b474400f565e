# SPDX-License-Identifier: Apache-2.0
"""Serve the traces of any store over HTTP, read-only: the query API of Jaeger, and pages of our own.

``application`` is the WSGI application. It asks the ``gate`` whether a request may pass, finds its route, and turns
errors into responses. ``jaeger_api`` and ``pages`` have the routes, ``ui_files`` those of Jaeger's own UI. They read
the store through ``store``. ``server`` runs it all.
"""
