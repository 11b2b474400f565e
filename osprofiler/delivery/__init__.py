# SPDX-License-Identifier: Apache-2.0
"""How spans leave the process: the queue, the reporter that delivers its entries, and the exporters."""
