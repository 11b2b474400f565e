# SPDX-License-Identifier: Apache-2.0
"""How spans leave the process: the queue and its reporter, the senders, the bridge to record stores."""
