# SPDX-License-Identifier: Apache-2.0
"""The checks of ``osprofiler doctor``: each reads the configuration of a service and returns results; none prints.

The checks do not know each other. No text of a result contains a key or a password.
"""
