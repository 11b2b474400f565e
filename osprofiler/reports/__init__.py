# SPDX-License-Identifier: Apache-2.0
"""What can be made of a stored trace: the model (``model``), and the tree, JSON, HTML and DOT writers of it."""
