# SPDX-License-Identifier: Apache-2.0
"""Released services as real processes: how each is set up, started and asked, with this osprofiler in them."""
