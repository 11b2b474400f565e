# SPDX-License-Identifier: Apache-2.0
"""No password, token or key of a connection string is shown, even if the string is malformed."""

import contextlib
import functools
import gc
import io
import logging
import re
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from oslo_config import cfg

from osprofiler import initializer, notifier, opts, profiler
from osprofiler.cmd import shell
from osprofiler.config import switches
from osprofiler.connection import fault_text, secrets
from osprofiler.drivers import base, connect
from osprofiler.testing.records import two_spans
from osprofiler.tracer import sampling
from tests.unit.core_kit import a_clean_process
from tests.waiting import wait_until

#: The two halves of a secret, between which a special character stands. A first half that is a number reads as a port.
FIRST, NUMBER, SECOND = "Zq7xSecret", "8125", "Wv9hHidden"

#: Of a key, as the doctor shows it. It may have any digits.
FINGERPRINT = re.compile(r"\b[0-9a-f]{8}\b")


def told_halves(text: str) -> list[str]:
    return [half for half in (FIRST, NUMBER, SECOND) if half.lower() in text.lower()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis:/u:PW@h", "redis:/u:***@h"),
        ("rediss//u:PW@h", "rediss//u:***@h"),
        ("postgresql:u:PW@h", "postgresql:u:***@h"),
        ("redis://u:PW#x@h", "redis://u:***@h"),
        ("elasticsearch://u:PW?x@h", "elasticsearch://u:***@h"),
        ("redis://u/PW:x@h", "redis://***@h"),
        ("redis://u:PW", "redis://u:***"),
        ("redis://TOKEN@h", "redis://***@h"),
        ("redis://h/0?ssl_password=a&b=c&ttl=7d", "redis://h/0?ssl_password=***&***&ttl=7d"),
        ("jaeger://h:6831?query=http%3A%2F%2Fu%3Ap%40w%40ui", "jaeger://h:6831?query=http://u:***@ui"),
        ("mysql+pymysql://u:p@h/db?charset=utf8", "mysql+pymysql://u:***@h/db?charset=utf8"),
        ("mongodb://h1:1,h2:2/db?tlsCertificateKeyFile=/k", "mongodb://h1:1,h2:2/db?tlsCertificateKeyFile=/k"),
        ("sqlite:////var/a@b#c.db", "sqlite:////var/a@b#c.db"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("messaging", "messaging"),
        ("", ""),
    ],
)
def test_what_may_be_shown_of_a_string(text: str, shown: str) -> None:
    assert secrets.masked(text) == shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no database secret%2Fword", "no database ***"),
        ("as 'SECRET' or word", "as '***' or ***"),
        (r"b'secret/word', secrets", "b'***', secrets"),  # a piece is cut as a word only
    ],
)
def test_secrets_are_cut_in_every_form(text: str, expected: str) -> None:
    assert secrets.cut(text, "redis://user:secret%2Fword@h") == expected


def test_a_short_password_takes_no_other_text_with_it() -> None:
    cut = secrets.cutter("redis://user:a@h")
    assert cut("a parser's words: no port 'a'") == "a parser's words: no port '***'"


def test_a_fault_is_one_bounded_line() -> None:
    def told(text: str) -> str:
        return fault_text.fault_line(RuntimeError(text), "redis://:my-secret@h")

    assert told("first\nsecond") == "first"
    assert told("") == "RuntimeError"
    assert len(told("x" * 1000)) == fault_text.MAX_CHARS
    # Of a secret that the limit or the line's end divides, no half is left.
    assert "my" not in told("x" * (fault_text.MAX_CHARS - 5) + "my-secret")
    assert fault_text.fault_line(RuntimeError("pass\nword"), "redis://:pass%0Aword@h") == "***"

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert fault_text.fault_line(Mute()) == "Mute"


# Schemes, characters and places

SCHEMES = (
    "jaeger",
    "jaeger+http",
    "jaeger+https",
    "otlp",
    "otlps",
    "redis",
    "rediss",
    "redissentinel",
    "mongodb",
    "elasticsearch",
    "opensearch+https",
    "loginsight",
    "messaging",
    "postgresql+psycopg",
    "mysql+pymysql",
    "sqlite",
    "amqp",
    "http",
)
SECRET_OPTIONS = (
    "password",
    "ssl_password",
    "sentinel_password",
    "token",
    "query_token",
    "tlsCertificateKeyFilePassword",
)
CHARACTERS = st.one_of(
    st.sampled_from([*" /?#@:%[]&=+\\'\"\t\n\r;,<>^`{|}~$!*()", "://", "?x=", "&x=", "%2", "é", "\u2100"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3),
)
SECRETS = st.builds("{}{}{}".format, st.sampled_from([FIRST, NUMBER]), CHARACTERS, st.just(SECOND))
PLACES = ("{}://user:{}@127.0.0.1:1/0", "{}://us/er:{}@127.0.0.1:1", "{}://:{}@127.0.0.1:1")
MALFORMED = ("{}:/user:{}@127.0.0.1", "{}//user:{}@127.0.0.1", "{}:user:{}@127.0.0.1", " {}://user:{}@127.0.0.1:1")


@st.composite
def connection_strings(draw: st.DrawFn) -> str:
    scheme, secret = draw(st.sampled_from(SCHEMES)), draw(SECRETS)
    if draw(st.booleans()):
        return f"{scheme}://127.0.0.1:1/0?{draw(st.sampled_from(SECRET_OPTIONS))}={secret}"
    # What stands alone, without a colon, may be a token.
    places = (*PLACES, *MALFORMED, *(() if ":" in secret else ("{}://{}@127.0.0.1:1",)))
    return draw(st.sampled_from(places)).format(scheme, secret)


class Log(logging.Handler):
    """The log at every level, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


@contextlib.contextmanager
def logged() -> Iterator[Log]:
    logger, log = logging.getLogger("osprofiler"), Log()
    before = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.DEBUG)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(before)


@hypothesis.settings(deadline=None, max_examples=400)
@hypothesis.given(connection_strings())
def test_no_half_of_a_secret_is_told_at_start(connection_string: str) -> None:
    with logged() as log:
        notifier.create(connection_string)
        notifier.clear_notifier_cache()
    assert not told_halves(log.text)
    text = ""
    try:
        base.get_driver(connection_string)
        text = str(getattr(connect.span_exporter(connection_string), "target", ""))
    except Exception as fault:
        text = "".join(traceback.format_exception(fault))
    assert not told_halves(text)


def on_one_line(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Those of *texts* that may be the value of an option in a file."""
    return texts.filter(lambda text: "\n" not in text and "\r" not in text)


# Where a command connects, it is to a port without a server.
@hypothesis.settings(deadline=None, max_examples=60, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(connection_strings().filter(lambda text: not text.startswith(("mongodb:", "redissentinel:"))))
def test_no_half_of_a_secret_is_told_by_a_command(connection_string: str) -> None:
    for given in (["--connection-string", connection_string], [f"--connection-string={connection_string}"]):
        out, err = io.StringIO(), io.StringIO()
        with logged() as log, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            assert shell.main(["trace", "list", *given])
        assert not told_halves(out.getvalue() + err.getvalue() + log.text)


@hypothesis.settings(deadline=None, max_examples=60, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    on_one_line(connection_strings()).filter(lambda text: not text.startswith(("mongodb:", "redissentinel:"))),
    on_one_line(SECRETS),
    on_one_line(SECRETS),
)
def test_no_half_of_a_secret_is_told_by_the_doctor(connection_string: str, key: str, other_key: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{name}.conf" for name in ("one", "two")]
        for file, secret in zip(files, (key, other_key), strict=True):
            options = (
                f"hmac_keys = {secret}\nconnection_string = {connection_string}\nsampler = remote:{connection_string}"
            )
            Path(file).write_text(f"[profiler]\nenabled = true\n{options}\n", "utf-8")
        Path(f"{folder}/api-paste.ini").write_text(f"[filter:osprofiler]\nhmac_keys = {other_key}\n", "utf-8")
        for more in ([], ["--json"]):
            out, err = io.StringIO(), io.StringIO()
            with logged() as log, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                assert shell.main(["doctor", "--config-file", files[0], "--with", files[1], *more])
            assert not told_halves(FINGERPRINT.sub("", out.getvalue() + err.getvalue() + log.text))


@pytest.mark.parametrize("command", [["trace"], ["trace", "show"], ["trace", "list"], ["trace", "nothing"]])
def test_a_string_in_a_wrong_place_is_not_quoted(command: list[str]) -> None:
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        shell.main([*command, f"redis://user:{FIRST}/{SECOND}@h"])
    assert err.getvalue()
    assert not told_halves(err.getvalue())


@pytest.mark.parametrize(
    "text", ["redis://u:PW#x@h", "jaeger+http://u:PW/x@h", "otlp://u:8125/x@h", "redissentinel://u:P?x@h"]
)
def test_the_message_says_to_percent_encode(text: str) -> None:
    with pytest.raises(ValueError, match=r"percent-encode .*# %23") as caught:
        base.get_driver(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("password", "encoded"), [("p@s/w#d?", "p%40s%2Fw%23d%3F"), ("with blank[", "with%20blank%5B")]
)
def test_a_percent_encoded_password_is_used(password: str, encoded: str) -> None:
    made: Any = connect.span_exporter(f"otlp://user:{encoded}@h")
    assert made._collector.url == f"http://user:{encoded}@h:4318/v1/traces"
    redis: Any = base.get_driver(f"redis://user:{encoded}@h")
    assert redis.db.connection_pool.make_connection().password == password


@pytest.mark.parametrize("text", ["messaging://h", "messaging://user:my-secret@h", "messaging:///vhost"])
def test_a_host_that_messaging_would_ignore_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="transport_url") as caught:
        base.get_driver(text)
    assert "my-secret" not in str(caught.value)
    assert base.get_driver("messaging://").connection_str == base.get_driver("messaging").connection_str


def test_oslo_messagings_own_url_is_not_told() -> None:
    conf = cfg.ConfigOpts()
    driver = base.get_driver("messaging://", conf=conf, transport_url=f"user:{FIRST}@{SECOND}")
    with pytest.raises(ValueError, match="no transport") as caught:
        driver.transport  # type: ignore[attr-defined]  # noqa: B018
    assert not told_halves("".join(traceback.format_exception(caught.value)).replace(SECOND, ""))


@pytest.mark.parametrize("text", ["loginsight://h:9000", "loginsight://h:wrong", "loginsight://user:my-secret@h:9543"])
def test_log_insight_says_that_its_ports_are_fixed(text: str) -> None:
    with pytest.raises(ValueError, match="port") as caught:
        base.get_driver(text)
    assert "my-secret" not in str(caught.value)


def test_the_address_of_strategies_is_shown_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"'remote:ftp://u:\*\*\*@h'"):
        sampling.sampler_for("remote:ftp://u:my-secret@h", "s")
    with logged() as log:
        sampler = sampling.RemoteSampler("http://u:my-secret@127.0.0.1:1/sampling", 60, "s")
        sampler._ask()
    assert "no sampling strategies from http://u:***@127.0.0.1:1" in log.text
    assert "my-secret" not in log.text


# Faults of a store


def test_the_first_line_of_a_fault_names_its_cause(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/missing/traces.db"
    with logged() as log:
        reporter = connect.reporter_for(url)
        reporter.report_record({"name": "a-start", "base_id": "b", "info": {"password": "my-secret"}})
        reporter.flush(0.5)
    assert "OperationalError: unable to open database file; kept" in log.text
    assert "my-secret" not in log.text


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("jaeger+http://u:my-secret@127.0.0.1:1", "Connection refused"),
        ("otlp://u:my-secret@127.0.0.1:1", "Connection refused"),
        ("redis://u:my-secret@127.0.0.1:1", "Connection refused"),
        ("elasticsearch://u:my-secret@127.0.0.1:1", "Connection refused"),
        ("loginsight://u:my-secret@127.0.0.1", "Connection refused"),
        ("mysql+pymysql://u:my-secret@127.0.0.1:1/db", "Connection refused"),
        ("postgresql+psycopg://u:my-secret@127.0.0.1:1/db", "Connection refused"),
    ],
)
def test_a_server_that_is_away_is_told_with_the_cause(url: str, cause: str) -> None:
    with logged() as log:
        reporter = connect.reporter_for(url)
        for each in two_spans():
            reporter.report_record(each)
        reporter.flush(0.5)
        wait_until(lambda: cause in log.text, what="a line in the log")
    assert "my-secret" not in log.text


def test_a_fault_of_a_value_names_its_type_alone() -> None:
    class Picky(base.Driver):
        def write(self, records: Any) -> None:
            raise ValueError(f"not storable: {records}")

    from osprofiler.delivery.exporter import Rejected
    from osprofiler.delivery.queue import Recorded
    from osprofiler.drivers.exporter import StoreExporter

    with pytest.raises(Rejected, match=r"^ValueError$"):
        StoreExporter(lambda: Picky("x://"), "t").export([Recorded({"info": "application's"}, 1)], 0)


# Representations


def test_no_object_of_ours_shows_a_key_or_a_password(tmp_path: Path) -> None:
    key, password = "the-hmac-key", "the-store-password"
    conf = cfg.ConfigOpts()
    url = f"jaeger+http://u:{password}@127.0.0.1:1?query_token={password}"
    opts.set_defaults(conf, enabled=True, hmac_keys=key, connection_string=url)
    conf([], project="shop")
    with a_clean_process():
        initializer.init_from_conf(conf, None, "shop", "till", "h")
        profiler.init(key)
        stores = [base.get_driver(f"{scheme}://u:{password}@127.0.0.1:1") for scheme in ("redis", "mongodb", "otlp")]
        stores.append(base.get_driver(f"loginsight://u:{password}@127.0.0.1"))
        reporter = connect.reporter_for(f"mysql+pymysql://u:{password}@127.0.0.1:1/db")
        with pytest.raises(Exception, match="refused") as caught:
            base.get_driver(f"mysql+pymysql://u:{password}@127.0.0.1:1/db").read("x")
        with profiler.Trace("point"):
            looked_at = 0
            for each in [*gc.get_objects(), caught.value, profiler.get(), reporter, *stores]:
                if str(type(each).__module__).startswith("osprofiler") or isinstance(each, functools.partial):
                    looked_at += 1
                    text = _representation(each)
                    assert key not in text, type(each)
                    assert password not in text, type(each)
        profiler.clean()
        switches.reset()
        assert looked_at > 20


def _representation(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return ""
