# SPDX-License-Identifier: Apache-2.0
"""The current trace point of each flow of control: the linked points, what a trace knows of its origin, plain values.

Nothing here imports jaeger-client, a transport or a library that is traced.
"""
