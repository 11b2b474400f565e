# SPDX-License-Identifier: Apache-2.0
"""Guards, clocks, locks and patches of the interpreter and of libraries that every other room stands on.

It knows nothing of traces: how a fault is swallowed and counted, what a fork or the end of the process needs, how a
library is wrapped and unwrapped.
"""
