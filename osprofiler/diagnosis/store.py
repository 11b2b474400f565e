# SPDX-License-Identifier: Apache-2.0
"""Whether the store answers: write a test trace, read it back, delete it.

The test trace has one span, ``doctor`` of the service ``osprofiler-doctor``, under a new id.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from osprofiler import exc
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig
from osprofiler.drivers import base, connect, locate, search
from osprofiler.drivers.abilities import Can
from osprofiler.drivers.driver import Driver
from osprofiler.drivers.errors import RecordsRefused, StoreError
from osprofiler.records.record import timestamp

T = TypeVar("T")

#: The longest that the whole check takes. Each client has time limits of its own, but some try several times.
DEADLINE_S = 10.0

#: How long to look for what was written: Jaeger and search engines show it after a moment.
_VISIBLE_S = 4.0
_POLL_S = 0.1

_LINE_CHARS = 400

PROJECT, SERVICE, POINT = "osprofiler", "doctor", "doctor"


def check(config: ServiceConfig, deadline_s: float = DEADLINE_S) -> Iterator[Result]:
    """Write, read and delete one trace, as far as the store can, within *deadline_s*."""
    connection_string = locate.settled(locate.notation(config.connection_string))
    secret_texts = (connection_string, *_transport_urls(config))
    shown = masked(connection_string)
    try:
        locate.checked_class(connection_string)
        absent = _absent_file(connection_string)
        if absent is not None:
            yield _of_absent_file(shown, absent)
            return
        yield _within(deadline_s, lambda: _tried(config, secret_texts))
    except _TooLate:
        text = f"{shown}: no answer within {deadline_s:g} s"
        yield Result("store", Status.FAIL, text, "see that the store is reachable from this host")
    except Exception as fault:
        text = fault_line(fault, *secret_texts, max_chars=_LINE_CHARS)
        text = text if shown in text else f"{shown}: {text}"
        yield Result("store", Status.FAIL, text, "correct [profiler] connection_string, or install the library")


def _tried(config: ServiceConfig, secret_texts: Sequence[str]) -> Result:
    driver = _driver(config, secret_texts[0])
    try:
        return _Trial(driver, secret_texts).run()
    finally:
        try:
            driver.close()
        except Exception:
            pass


def _driver(config: ServiceConfig, connection_string: str) -> Driver:
    return base.get_driver(
        connection_string,
        project=PROJECT,
        service=SERVICE,
        host=socket.gethostname(),
        conf=config.conf,
        context={},
        idle_timeout=0,
    )


def _transport_urls(config: ServiceConfig) -> list[str]:
    """The addresses of brokers, with their secrets."""
    urls = (config.text(group, "transport_url") for group in ("DEFAULT", "oslo_messaging_notifications"))
    return [url for url in urls if url]


class _Trial:
    """One trace on its way through a store."""

    def __init__(self, driver: Driver, secret_texts: Sequence[str]) -> None:
        """*secret_texts* are the connection string and other texts with secrets."""
        connection_string = secret_texts[0]
        self._driver = driver
        self._secret_texts = secret_texts
        self._shown = masked(connection_string)
        self._base_id = str(uuid.uuid4())
        self._times_ms: dict[str, float] = {}
        exporter = connect.span_exporter(connection_string)
        #: Whether a write without an error means that the store has the trace.
        self._acknowledged = exporter is None or exporter.acknowledged

    def run(self) -> Result:
        """Write, read and delete it."""
        if Can.WRITE not in self._driver.can:
            return self._result(Status.FAIL, "the driver cannot write", "use another store")
        try:
            self._timed("write", lambda: self._driver.write(_records(self._base_id)))
        except (StoreError, exc.CommandError) as fault:
            advice = "start the store, let this user in, or correct [profiler] connection_string"
            if isinstance(fault, RecordsRefused) and not self._acknowledged:
                return self._result(Status.FAIL, f"nobody listens there ({fault})", advice)
            return self._result(Status.FAIL, f"cannot write: {self._line(fault)}", advice)
        if Can.READ not in self._driver.can:
            return self._unread("this store only takes traces", "add ?query=http://HOST:16686 if they end up in Jaeger")
        try:
            is_there = self._timed("read", self._is_visible)
        except (StoreError, exc.CommandError) as fault:
            return self._unread(self._line(fault), "`osprofiler trace show` needs it too: correct the address")
        if not is_there:
            how = "written" if self._acknowledged else "sent by UDP, which nobody acknowledges"
            advice = "see that what writes and what reads is the same store"
            return self._result(Status.FAIL, f"a trace was {how}, and is not there {_VISIBLE_S:g} s later", advice)
        return self._deleted()

    def _unread(self, why: str, advice: str) -> Result:
        """The result of a write whose trace cannot be read."""
        if self._acknowledged:
            status = Status.OK if Can.READ not in self._driver.can else Status.WARN
            return self._result(status, f"takes traces{self._times_text()}; not read back: {why}", advice)
        return self._result(Status.FAIL, f"sent by UDP, which nobody acknowledges; could not be checked: {why}", advice)

    def _deleted(self) -> Result:
        how = "writes and reads" if self._acknowledged else "sent by UDP, and read back from the query service"
        if Can.DELETE not in self._driver.can:
            text = f"{how}{self._times_text()}; it cannot delete: the trace {self._base_id} stays"
            return self._result(Status.OK, text)
        advice = f"delete it: osprofiler trace delete {self._base_id}"
        try:
            count = self._timed("delete", lambda: self._driver.delete(self._base_id))
        except (StoreError, exc.CommandError) as fault:
            text = f"{how}{self._times_text()}, but cannot delete: {self._line(fault)}"
            return self._result(Status.WARN, text, advice)
        if not count:
            return self._result(Status.WARN, f"{how}{self._times_text()}, but did not delete the test trace", advice)
        try:
            slow = self._driver.advice()
        except (StoreError, exc.CommandError):  # this account may not look at the indexes
            slow = ""
        return self._result(Status.WARN if slow else Status.OK, f"writes, reads and deletes{self._times_text()}", slow)

    def _is_visible(self) -> bool:
        until = time.monotonic() + _VISIBLE_S
        while True:
            if search.read(self._driver, self._base_id).spans:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)

    def _timed(self, step: str, call: Callable[[], T]) -> T:
        begin = time.perf_counter()
        try:
            return call()
        finally:
            self._times_ms[step] = round((time.perf_counter() - begin) * 1000, 3)

    def _times_text(self) -> str:
        return f" ({', '.join(f'{step} {time_ms:.0f} ms' for step, time_ms in self._times_ms.items())})"

    def _line(self, fault: BaseException) -> str:
        # The text of a refusal may hold values of records, so it has none; here they are our own.
        cause = fault.__cause__ if isinstance(fault, RecordsRefused) else None
        return fault_line(cause or fault, *self._secret_texts, max_chars=_LINE_CHARS)

    def _result(self, status: Status, text: str, advice: str = "") -> Result:
        values = {
            "store": self._shown,
            "base_id": self._base_id,
            "acknowledged": self._acknowledged,
            "cannot": [each.value for each in (Can.WRITE, Can.READ, Can.DELETE) if each not in self._driver.can],
            **{f"{step}_ms": time_ms for step, time_ms in self._times_ms.items()},
        }
        return Result("store", status, f"{self._shown}: {text}", advice, values)


def _records(base_id: str) -> list[dict[str, Any]]:
    """The records of the test trace."""
    now_us = time.time_ns() // 1000
    common = {"base_id": base_id, "parent_id": base_id, "trace_id": str(uuid.uuid4())}
    info = {"host": socket.gethostname()}
    return [
        {**common, "name": f"{POINT}-{phase}", "timestamp": timestamp(at_us), "info": info}
        for phase, at_us in (("start", now_us), ("stop", now_us + 1))
    ]


def _absent_file(connection_string: str) -> Path | None:
    """The file of an SQLite store, if it does not exist. The check must not create it, perhaps as another user."""
    path = locate.sqlite_path(connection_string)
    return Path(path) if path and not os.path.exists(path) else None


def _of_absent_file(shown: str, file: Path) -> Result:
    values = {"store": shown}
    if not file.parent.is_dir():
        return Result("store", Status.FAIL, f"{shown}: there is no folder {file.parent}", "create it", values)
    if not os.access(file.parent, os.W_OK | os.X_OK):
        text = f"{shown}: this user cannot create the file"
        return Result("store", Status.FAIL, text, "run as the service's user, or give it the folder", values)
    text = f"{shown}: not checked: the file is not there yet; the first traced request creates it"
    return Result("store", Status.WARN, text, "check again after the first trace, as the service's user", values)


class _TooLate(Exception):
    """The deadline is over."""


def _within(deadline_s: float, call: Callable[[], T]) -> T:
    """What *call* returns. It runs in a thread, which is left alone after *deadline_s*.

    Raises what *call* raises, and _TooLate.
    """
    outcome: list[T] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=run, name="osprofiler-doctor", daemon=True)
    thread.start()
    thread.join(deadline_s)
    if faults:
        raise faults[0]
    if not outcome:
        raise _TooLate
    return outcome[0]
