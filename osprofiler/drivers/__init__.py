# SPDX-License-Identifier: Apache-2.0
"""Drivers: each stores and reads the records of one store. Import the module of the one you need.

Nothing is imported here: every driver brings a store's client with it, and a service uses one.
"""
