# SPDX-License-Identifier: Apache-2.0
"""``make scale``: a Jaeger beyond one process, fed by several processes, and what came of it.

``roles`` are Jaeger's programs, ``cluster`` runs them. ``shape`` says what the traces are, ``feed`` is a process that
makes them, ``feeding`` runs several. ``stored`` counts what the index holds and compares traces that the query service
returns. ``analysis`` runs the commands of ``osprofiler`` and its SQL on all of it. ``figures`` measures and prints.
"""
