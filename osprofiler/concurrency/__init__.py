# SPDX-License-Identifier: Apache-2.0
"""One file for each way in which work runs beside the flow of control that asked for it."""
