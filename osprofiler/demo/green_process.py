# SPDX-License-Identifier: Apache-2.0
"""The demo's process as an eventlet service: eventlet patches the standard library before any other import."""

import eventlet

eventlet.monkey_patch()

import sys  # noqa: E402

from osprofiler.demo import process  # noqa: E402

if __name__ == "__main__":
    sys.exit(process.main(sys.argv[1:]))
