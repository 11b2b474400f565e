# SPDX-License-Identifier: Apache-2.0
"""A small real OpenStack on one machine, for traces of real boots: keystone, placement, glance, neutron and nova."""
