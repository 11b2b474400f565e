# SPDX-License-Identifier: Apache-2.0
"""``report_and_exit.py HOW CONNECTION_STRING BASE_ID [DEADLINE_S]``: report spans, and end in one of many ways.

The flush interval is an hour, so that only the way out can deliver them. Each way reports one span for each process
that takes part, named after it.
"""

import multiprocessing
import os
import signal
import sys
import threading

from greenthreads import Green, patch

HOW, CONNECTION_STRING, BASE_ID = sys.argv[1:4]
LIBRARY, _, AFTER_PATCHING = HOW.partition("_")

if LIBRARY in ("eventlet", "gevent"):
    patch(LIBRARY)
    green = Green(LIBRARY)

from osprofiler import config  # noqa: E402
from osprofiler.context.origin import Origin  # noqa: E402
from osprofiler.context.points import Point  # noqa: E402
from osprofiler.delivery import pauses  # noqa: E402
from osprofiler.drivers import connect  # noqa: E402
from osprofiler.tracer.tracer import Tracer  # noqa: E402

config.publish(flush_interval_s=3600.0, flush_timeout_s=float([*sys.argv[4:], "30"][0]))
TRACER = Tracer("unnamed", connect.reporter_for(CONNECTION_STRING, project="exits", service=HOW))


def report(name: str) -> None:
    root = Point(None, None, Origin.from_osprofiler("key", BASE_ID))
    TRACER.open_point(root, name, {"pid": os.getpid()}).end()


def plain() -> None:
    report("main")


def system_exit() -> None:
    report("main")
    sys.exit(3)


def uncaught() -> None:
    report("main")
    raise RuntimeError("as a service dies")


def exit_in_thread() -> None:
    def work() -> None:
        report("thread")
        sys.exit(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    report("main")


def thread_outlives_main() -> None:
    ready = threading.Event()

    def work() -> None:
        ready.wait()
        threading.main_thread().join()
        report("thread")

    threading.Thread(target=work).start()
    report("main")
    ready.set()


def os_fork() -> None:
    report("main")
    if os.fork() == 0:
        report("child")
        sys.exit(0)
    os.wait()


def _multiprocessing(method: str) -> None:
    report("main")
    child = multiprocessing.get_context(method).Process(target=report, args=("child",))
    child.start()
    child.join()


def os_fork_after_a_delivery() -> None:
    report("before")
    TRACER.flush(30)
    os_fork()


def fork() -> None:
    _multiprocessing("fork")


def spawn() -> None:
    _multiprocessing("spawn")


def forkserver() -> None:
    _multiprocessing("forkserver")


def pool() -> None:
    report("main")
    with multiprocessing.get_context("fork").Pool(1) as workers:
        workers.map(report, ["child"])
        workers.close()
        workers.join()


def green_plain() -> None:
    report("main")
    green.spawn(report, "greenthread")
    green.sleep(0)


def green_os_fork() -> None:
    report("before")
    green.sleep(0)  # the reporter's greenthread runs, and is copied by the fork
    os_fork()


def green_fork_while_encoding() -> None:
    for _ in range(2 * pauses.ENTRIES):
        report("before")
    green.spawn(TRACER.flush)
    while TRACER.reporter._queue:
        green.sleep(0)
    os_fork()  # in the pause between the first half and the second


def green_oslo_service() -> None:
    _oslo_service(2)


def threading_oslo_service() -> None:
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    _oslo_service(2)


def _oslo_service(workers: int) -> None:
    from oslo_config import cfg
    from oslo_service import service

    reading, writing = os.pipe()

    class Service(service.Service):  # type: ignore[misc]
        def start(self) -> None:
            report("worker")
            os.write(writing, b".")

    report("main")
    conf = cfg.ConfigOpts()
    conf([])
    launcher = service.ProcessLauncher(conf)
    launcher.launch_service(Service(), workers=workers)

    def stop_when_all_work() -> None:
        ready = 0
        while ready < workers:
            ready += len(_read(reading))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_all_work, daemon=True).start()
    launcher.wait()


def threading_oslo_service_without_fork() -> None:
    """As nova-compute runs on native threads."""
    from oslo_config import cfg
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    from oslo_service import service

    class Service(service.Service):  # type: ignore[misc]
        def wait(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait()

        def stop(self, graceful: bool = False) -> None:
            report("stop")

    report("main")
    conf = cfg.ConfigOpts()
    conf([])
    service.launch(conf, Service(), no_fork=True).wait()


def cotyledon() -> None:
    from cotyledon import Service, ServiceManager

    class Worker(Service):  # type: ignore[misc]
        def run(self) -> None:
            os.kill(os.getppid(), signal.SIGTERM)

        def terminate(self) -> None:
            report("stop")

    report("main")
    manager = ServiceManager()
    manager.add(Worker)
    manager.run()


def _read(descriptor: int) -> bytes:
    if LIBRARY == "eventlet":
        from eventlet import tpool

        return tpool.execute(os.read, descriptor, 1)  # type: ignore[no-any-return]
    return os.read(descriptor, 1)


if __name__ == "__main__":
    globals()[f"green_{AFTER_PATCHING}" if LIBRARY in ("eventlet", "gevent") else HOW]()
