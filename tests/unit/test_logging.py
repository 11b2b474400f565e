# SPDX-License-Identifier: Apache-2.0
"""Records of logging know their trace, also through oslo.log; chosen ones become logs of the current span."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from osprofiler import config, initializer, opts, policy, profiler
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.instrumentation import logging as instrumentation
from osprofiler.testing import recording
from osprofiler.testing.recorder import Recording
from tests.unit.core_kit import a_clean_process

PROGRAM = Path(__file__).parent / "programs" / "oslo_log_lines.py"
BASE = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11"


class Lines(logging.Handler):
    """Keeps what a formatter makes of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # noqa: PLE0704 (logging calls this where it handles the exception)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the logger ``service`` while logging is instrumented."""
    handler, logger = Lines(), logging.getLogger("service")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    instrumentation.instrument()
    yield handler.lines
    instrumentation.uninstrument()
    logger.removeHandler(handler)
    config.reset()


@pytest.fixture
def spans() -> Iterator[Recording]:
    with recording() as spans:
        yield spans


LOG = logging.getLogger("service")


# Ids


def test_a_line_has_the_ids_that_jaeger_shows(lines: list[str]) -> None:
    with recording(trace=False) as spans:
        LOG.info("before")
        profiler.init("key", base_id=BASE)
        LOG.info("root")
        with profiler.Trace("boot"):
            LOG.info("inside %s", "it")
        profiler.clean()
        LOG.info("after")
    span_id = spans.one("boot").point_id[19:].replace("-", "")
    trace_id = BASE.replace("-", "")
    assert lines == ["- - before", f"{trace_id} - root", f"{trace_id} {span_id} inside it", "- - after"]


def test_a_trace_that_is_not_recorded_has_no_ids(lines: list[str]) -> None:
    config.publish(enabled=False)
    profiler.init("key")
    LOG.info("line")
    profiler.clean()
    assert lines == ["- - line"]


@pytest.mark.usefixtures("spans")
def test_what_the_service_calls_so_itself_stays(lines: list[str]) -> None:
    """A record factory that sets the attributes would make this call raise KeyError."""
    with profiler.Trace("boot"):
        LOG.info("line", extra={"trace_id": "mine", "span_id": "too"})
    assert lines == ["mine too line"]


def test_a_record_made_elsewhere_has_them_too(lines: list[str]) -> None:
    LOG.handle(logging.makeLogRecord({"msg": "from a socket", "levelno": logging.INFO}))
    assert lines == ["- - from a socket"]


def test_it_can_be_undone_and_done_twice(lines: list[str]) -> None:
    instrumentation.instrument()
    LOG.info("on")
    instrumentation.uninstrument()
    assert not hasattr(logging.Logger.handle, "__wrapped__")
    with pytest.raises(ValueError, match="trace_id"):
        LOG.info("off")
    instrumentation.instrument()
    LOG.info("on again")
    assert lines == ["- - on", "- - on again"]


def test_the_place_in_the_source_stays_right(lines: list[str]) -> None:
    LOG.handlers[-1].setFormatter(logging.Formatter("%(funcName)s %(filename)s"))
    LOG.info("line")
    assert lines == ["test_the_place_in_the_source_stays_right test_logging.py"]


@pytest.mark.usefixtures("spans")
def test_a_fault_of_ours_loses_no_line(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instrumentation, "_add", lambda span, record: 1 / 0)
    config.publish(log_records=logging.INFO)
    guard.clear()
    with profiler.Trace("boot"):
        LOG.info("line")
    assert lines[0].endswith(" line")
    assert guard.counters["fault.logging"] == 1
    guard.clear()


@pytest.mark.parametrize("correlation", [True, False])
def test_a_service_has_it_from_its_start_unless_it_says_otherwise(correlation: bool, tmp_path: Path) -> None:
    conf = cfg.ConfigOpts()
    opts.set_defaults(conf, enabled=True, connection_string=f"sqlite:///{tmp_path / 'traces.db'}")
    conf.set_default("log_correlation", correlation, group="profiler")
    conf([])
    instrumentation.uninstrument()
    with a_clean_process():
        initializer.init_from_conf(conf, None, "nova", "api", "host")
        assert hasattr(logging.Logger.handle, "__wrapped__") == correlation
        instrumentation.uninstrument()
    switches.reset()


# Span logs


def kept(spans: Recording, name: str = "boot") -> list[dict[str, Any]]:
    return [log.fields for log in spans.one(name).logs]


def test_records_of_a_level_become_logs_of_the_span(lines: list[str], spans: Recording) -> None:
    config.publish(log_records=logging.WARNING)
    with profiler.Trace("boot"):
        LOG.info("too low")
        LOG.warning("disk %d%% full", 91)
        with profiler.Trace("inner"):
            logging.getLogger("service.part").error("gone")
    assert kept(spans) == [{"event": "log", "level": "WARNING", "logger": "service", "message": "disk 91% full"}]
    assert kept(spans, "inner") == [{"event": "log", "level": "ERROR", "logger": "service.part", "message": "gone"}]
    assert len(lines) == 3
    assert spans.one("boot").error is None


def test_without_the_setting_none_does(lines: list[str], spans: Recording) -> None:
    with profiler.Trace("boot"):
        LOG.critical("line")
    assert (kept(spans), len(lines)) == ([], 1)


def test_an_exception_has_its_kind_and_stack(lines: list[str], spans: Recording) -> None:
    config.publish(log_records=logging.ERROR)
    with profiler.Trace("boot"):
        try:
            raise ValueError("no disk")
        except ValueError:
            LOG.exception("cannot boot")
    (fields,) = kept(spans)
    assert (fields["message"], fields["error.kind"]) == ("cannot boot", "ValueError")
    assert fields["stack"].endswith("ValueError: no disk\n")
    assert spans.one("boot").error is None  # it was handled
    assert len(lines) == 1


def test_a_span_keeps_so_many_records_and_counts_the_others(lines: list[str], spans: Recording) -> None:
    config.publish(log_records=logging.INFO)
    guard.clear()
    with profiler.Trace("boot"):
        for number in range(instrumentation.MAX_RECORDS + 5):
            LOG.info("%s", "x" * 10_000 if number == 0 else number)
    logs = kept(spans)
    assert len(logs) == instrumentation.MAX_RECORDS
    assert len(logs[0]["message"]) <= instrumentation.MAX_MESSAGE_CHARS
    assert guard.counters["cut.log_records"] == 5
    assert len(lines) == instrumentation.MAX_RECORDS + 5
    guard.clear()


def test_our_own_lines_never_do(spans: Recording) -> None:
    config.publish(log_records=logging.DEBUG)
    instrumentation.instrument()
    with profiler.Trace("boot"):
        logging.getLogger("osprofiler").error("ours")
        logging.getLogger("osprofiler.notifier").error("ours")
        logging.getLogger("osprofiler_plugin").error("of another package")
    instrumentation.uninstrument()
    config.reset()
    assert [fields["logger"] for fields in kept(spans)] == ["osprofiler_plugin"]


class Loud:
    """Logs while it is rendered, and cannot be."""

    def __str__(self) -> str:
        LOG.info("rendering")
        raise RuntimeError("no text")


def test_a_message_that_cannot_be_made(spans: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    instrumentation.instrument()
    logging.getLogger("service").setLevel(logging.DEBUG)
    config.publish(log_records=logging.INFO)
    with profiler.Trace("boot"):
        LOG.info("a %s of %s", "few")  # noqa: PLE1206
        LOG.info("loud %s", Loud())
    instrumentation.uninstrument()
    config.reset()
    messages = [fields["message"] for fields in kept(spans)]
    assert [message for message in messages if message != "rendering"] == ["a %s of %s", "loud %s"]


@pytest.mark.parametrize(
    ("text", "level"), [("", 0), ("WARNING", 30), ("warning", 30), ("Debug", 10), ("CRITICAL", 50)]
)
def test_levels_in_an_option(text: str, level: int) -> None:
    conf = cfg.ConfigOpts()
    opts.set_defaults(conf)
    conf.set_override("log_records", text, group="profiler")
    assert config.options.read(conf)["log_records"] == level


def test_levels_in_a_policy() -> None:
    assert policy.parse("services: {a: {log_records: error}}").of("a") == {"log_records": 40}
    with pytest.raises(policy.PolicyError, match="log_records: one of these is wanted: DEBUG, INFO"):
        policy.parse("services: {a: {log_records: loud}}")


# oslo.log, with handlers and formatters of its own, in a process of its own


def run(form: str, store: str) -> tuple[str, str, list[str]]:
    """The trace's and the span's id, and the lines of a program that logs before, in and after a trace."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), form, store],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    trace_id, span_id = done.stdout.split()
    assert "Logging error" not in done.stderr
    return trace_id, span_id, done.stderr.replace("\x1b[00m", "").splitlines()  # old releases colour each line


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'traces.db'}"


def test_the_context_formatter_of_oslo_log(store: str) -> None:
    trace_id, span_id, lines = run("context", store)
    assert lines == [
        "[-] before",
        f"[req-1 u {trace_id} {span_id}] inside, password=hunter2",
        f"[req-1 u {trace_id} {span_id}] with its own",
        "[req-1 u - -] after",
    ]


def test_the_json_formatter_of_oslo_log(store: str) -> None:
    trace_id, span_id, lines = run("json", store)
    ids = {"trace_id": trace_id, "span_id": span_id}
    extras = {record["message"]: record["extra"] for record in map(json.loads, lines)}
    for extra in extras.values():
        del extra["project"], extra["version"]  # oslo.log's own
    assert extras == {"before": {}, "inside, password=hunter2": ids, "with its own": {**ids, "more": "5"}, "after": {}}
