# SPDX-License-Identifier: Apache-2.0
"""A small real OpenStack on this machine: keystone, placement, glance, neutron and nova, to see a real boot traced."""
