# SPDX-License-Identifier: Apache-2.0
"""Fork again and again while a thread takes connections from a session's pool and gives them back; each child leaves by
the ordinary way out."""

import os
import sys
import threading

from osprofiler._runtime import http_session

FORKS = 100


def main() -> int:
    adapter = http_session.session().get_adapter("http://")
    pool = adapter.poolmanager.connection_from_url("http://127.0.0.1:1/")
    done = threading.Event()

    def connect() -> None:
        while not done.is_set():
            pool._put_conn(pool._get_conn())

    thread = threading.Thread(target=connect)
    thread.start()
    failed = 0
    for _ in range(FORKS):
        child = os.fork()
        if child == 0:
            sys.exit(0)
        failed += os.waitpid(child, 0)[1] != 0
    done.set()
    thread.join()
    return failed


if __name__ == "__main__":
    sys.exit(main())
