# SPDX-License-Identifier: Apache-2.0
"""No secret reaches any store, wherever a service puts it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_utils import strutils

from osprofiler import config, initializer, notifier, opentracing_compat, opts, policy, profiler, web
from osprofiler import sqlalchemy as traced
from osprofiler._runtime import guard
from osprofiler.context import current
from osprofiler.delivery.masking import applying
from osprofiler.delivery.masking.names import MASK
from osprofiler.delivery.masking.values import Masker
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.handlers import http_client
from osprofiler.instrumentation.requests import LIBRARY
from osprofiler.testing import records
from osprofiler.tracer import global_tracer
from tests.unit.core_kit import a_clean_process
from tests.unit.reporting_kit import Obedient, Traced
from tests.unit.test_reporting_otlp import Collector

from benchmarks.sink import Sink  # isort: skip

KEY = "key"
#: What none of the stores may hold: parts of secrets that come in no other text.
S = "hUnTeR2"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with a_clean_process():
        yield
        profiler.clean()


def info(value: Any) -> Callable[[], None]:
    def make() -> None:
        profiler.start("point", {"sought": 1, "given": value})
        profiler.stop(value if isinstance(value, dict) else {"given": value})

    return make


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[], None]:
    def make() -> None:
        with suppress(LookupError):
            profiler.trace("call", hide_result=False)(function)(*args, **kwargs)

    return make


def login(user: str, password: str = "", **more: Any) -> None:
    return None


def answer(value: Any) -> Any:
    return value


def generate_password() -> str:
    return S


def fail(text: str) -> None:
    raise LookupError(text)


def annotated(**fields: Any) -> Callable[[], None]:
    def make() -> None:
        with profiler.Trace("annotated"):
            profiler.annotate("retry", **fields)

    return make


def tagged(name: str, value: Any) -> Callable[[], None]:
    def make() -> None:
        with global_tracer.get_tracer().start_active_span(f"tagged {name}", tags={name: value}) as active:
            active.span.set_tag(name, value)
            active.span.log_kv({"event": "note", name: value, "text": f"{name}={value}"})

    return make


def baggage() -> None:
    with global_tracer.get_tracer().start_active_span("with baggage") as active:
        active.span.set_baggage_item("auth_token", S)


def sql(statement: str, *params: Any) -> Callable[[], None]:
    def make() -> None:
        engine = sqlalchemy.create_engine("sqlite://")
        with engine.connect() as conn:
            conn.exec_driver_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, password TEXT)")
            traced.add_tracing(sqlalchemy, engine, "db")
            with profiler.Trace("around"), suppress(sqlalchemy.exc.SQLAlchemyError):
                run = (
                    conn.exec_driver_sql
                    if "?" in statement
                    else lambda text, given: conn.execute(sql_text(text), given)
                )
                run(statement, *params)

    return make


sql_text = sqlalchemy.text


def failing_sql() -> None:
    """An error of SQLAlchemy, whose text has the parameters, passes through a point."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as conn, suppress(sqlalchemy.exc.SQLAlchemyError), profiler.Trace("around"):
        conn.exec_driver_sql("INSERT INTO missing (id, password) VALUES (?, ?)", (1, S))


def request(query: str) -> Callable[[], None]:
    def make() -> None:
        app = web.WsgiMiddleware(lambda environ, start: (start("200 OK", []), [b""])[1], KEY, enabled=True)
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/v3/things",
            "QUERY_STRING": query,
            "wsgi.url_scheme": "http",
            "SERVER_NAME": "h",
            "SERVER_PORT": "80",
            **{f"HTTP_{name.upper().replace('-', '_')}": text for name, text in web.get_trace_id_headers().items()},
        }
        list(app(environ, lambda *_: None))

    return make


def sent(query: str) -> Callable[[], None]:
    def make() -> None:
        request = requests.Request("GET", f"http://user:{S}@h/v3/things?{query}").prepare()
        request.url = f"http://user:{S}@h/v3/things?{query}"
        answer = SimpleNamespace(status_code=200)
        here = current.point.get()
        assert here is not None
        http_client.exchange(LIBRARY, here, request, lambda sent: answer)

    return make


FERNET = f"gAAAAABn{S}abcdefghijklmnop"
VECTORS: dict[str, Callable[[], None]] = {
    "info": info({"password": S}),
    "info nested": info({"a": {"b": [{"adminPass": S, "n": 1}]}}),
    "info with a name beside": info({"headers": [{"name": "X-Auth-Token", "value": S}]}),
    "info of a mapping": info({"token": {"id": S, "methods": ["password"]}}),
    "info of a list": info({"secrets": [S, S]}),
    "info of bytes": info({"private_key": S.encode()}),
    "pairs": info({"headers": [("X-Subject-Token", S), ("Set-Cookie", f"session={S}")]}),
    "a command's list": info({"cmd": ["mysql", "--password", S, "-v"]}),
    "a command's text": info(f"openstack --os-password {S} server list"),
    "a command's option": info(f"mysqldump --password={S} --all"),
    "an assignment": info(f"db_passwd = {S}"),
    "JSON": info(json.dumps({"auth": {"passwordCredentials": {"username": "u", "password": S}}})),
    "JSON in JSON": info(json.dumps({"body": json.dumps({"password": f'it"s {S}'})})),
    "JSON in repr": info(repr({"body": json.dumps({"api_key": f"it's {S}"})})),
    "repr": info(repr({"secret": {"a": [1, (S,)]}, "n": 1})),
    "repr of an object": info(f"Login(user='u', password=Hidden(text='{S}', n=1), n=2)"),
    "XML": info(f"<user><ns:adminPass type='text'>{S}</ns:adminPass></user>"),
    "XML's attributes": info(f'<param name="password" value="{S}"/>'),
    "header Authorization": info(f"GET / HTTP/1.1\r\nAuthorization: Digest username=u, response={S}\r\nHost: h"),
    "header Bearer": info(f"sent Bearer {S}.abc"),
    "header Basic": info(f"curl -H 'Authorization: Basic {S}=='"),
    "header X-Auth-Token": info(f"curl -H 'X-Auth-Token: {S}' http://h"),
    "header Cookie": info(f"Cookie: a=b; sid={S}"),
    "a presigned URL": info(f"https://s3/b/o?X-Amz-Signature={S}&X-Amz-Date=1"),
    "a temporary URL": info(f"/v1/a/c/o?temp_url_sig={S}&temp_url_expires=1"),
    "an encoded URL in a query": info(f"next=http%3A%2F%2Fh%3Ftoken%3D{S}%26a%3D1"),
    "a URL's account": info(f"connect to mysql+pymysql://nova:{S}@db/nova failed"),
    "a URL's account, malformed": info(f"redis://u:a/{S}@h"),
    "an unknown command of Redis": info(f"unknown command 'X', with args beginning with: 'a' '{S}'"),
    "a command of redis-py's pipeline": info(f"Command # 2 (SET a {S}) of pipeline caused error: WRONGTYPE"),
    "a command of it that was cut": info(f"Command # 2 (LPUSH a {S}..."),
    "a duplicate key of MongoDB": info(f'E11000 duplicate key error index: i dup key: {{ name: "{S}" }}'),
    "a token of keystone": info(f"user {FERNET} logged in"),
    "a JSON web token": info(f"got eyJhbGciOiJIUzI1NiJ9.eyJ{S}.abc"),
    "a private key": info(f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----"),
    "a key of a mapping": info({f"token={S}": 1, f"https://u:{S}@h/x": 2}),
    "positional argument": call(login, "bob", S),
    "keyword argument": call(login, "bob", password=S, auth_token=S),
    "nested argument": call(answer, {"user": {"admin_password": S}}),
    "result": call(answer, [{"token": S}]),
    "result of what is called so": call(generate_password),
    "exception": call(fail, f"cannot log in with password '{S}'"),
    "exception with a URL": call(fail, f"amqp://u:{S}@h:5672/ is not there"),
    "exception with a token": call(fail, f"Invalid token {S}0123456789abcdef"),
    "annotation": annotated(password=S),
    "annotation's text": annotated(why=f"401 for token={S}"),
    "tag": tagged("x-auth-token", S),
    "tag's text": tagged("db.url", f"postgresql://u:{S}@h"),
    "tag of a container": tagged("request", {"hmac_key": S}),
    "name of a span": tagged(f"GET /?token={S}", 1),
    "baggage": baggage,
    "SQL by name": sql("SELECT id FROM users WHERE password = :given", {"given": S}),
    "SQL by column": sql("UPDATE users SET password = ? WHERE id = ?", (S, 1)),
    "SQL insert": sql("INSERT INTO users (name, password) VALUES (?, ?)", ("bob", S)),
    "SQL insert of many": sql("INSERT INTO users (name, password) VALUES (?, ?)", [("a", S), ("b", S)]),
    "SQL text": sql(f"UPDATE users SET password = '{S}' WHERE id = :id", {"id": 1}),
    "SQL insert of text": sql(f"INSERT INTO users (name, password) VALUES ('it''s', '{S}')", {}),
    "SQL fault": failing_sql,
    "query of a request": request(f"a=1&token={S}&b=2"),
    "query of a request, repeated": request(f"api_key={S}&api_key={S},x"),
    "query that is sent": sent(f"X-Amz-Signature={S}&a=1"),
    "cut before its end": info({"x" * 9: f"{'a' * 60_000} password='{S * 2_000_000}"}),
    "a URL cut before its end": call(answer, f"{'a' * 16_340} x://u:{S}{S * 100}@h"),
}


@contextmanager
def sqlite_store(tmp_path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    path = tmp_path / "traces.db"

    def held() -> bytes:
        with sqlite3.connect(path) as conn:
            return "\n".join(conn.iterdump()).encode()

    yield f"sqlite:///{path}", held


@contextmanager
def jaeger(tmp_path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with Sink() as sink:
        yield f"jaeger+{sink.url}", lambda: b"".join(body for _, body in sink.bodies)


@contextmanager
def otlp(tmp_path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with Collector().serving() as collector:
        yield collector.url, lambda: b"".join(body for _, _, body in collector.requests)


@contextmanager
def a_callable(tmp_path: Path) -> Iterator[tuple[Any, Callable[[], bytes]]]:
    taken: list[dict[str, Any]] = []
    yield taken.append, lambda: json.dumps(taken).encode()


def told(store: Any, held: Callable[[], bytes], make: Callable[[], None]) -> bytes:
    """The content of *store* for a trace in which *make* ran."""
    notifier.set(notifier.create(store, project="p", service="s") if isinstance(store, str) else store)
    profiler.init(KEY)
    with profiler.Trace("the whole"):
        make()
    profiler.clean()
    assert opentracing_compat.flush(60)
    everything = held()
    assert b"the whole" in everything
    return everything


@pytest.mark.parametrize("into", [sqlite_store, jaeger, otlp, a_callable])
def test_no_secret_is_in_any_store(into: Any, tmp_path: Path) -> None:
    with into(tmp_path) as (store, held):

        def all_of_them() -> None:
            for make in VECTORS.values():
                make()

        everything = told(store, held, all_of_them)
    assert everything.count(MASK.encode()) >= len(VECTORS) / 2
    at = everything.find(S.encode())
    assert at < 0, everything[max(at - 300, 0) : at + 100]
    assert not guard.counters["fault.mask"]


@pytest.mark.parametrize("name", VECTORS)
def test_each_secret_would_be_told_if_nothing_were_masked(name: str, tmp_path: Path) -> None:
    config.publish(mask_secrets=False)
    with a_callable(tmp_path) as (store, held):
        plain = told(store, held, VECTORS[name])
    if name not in ONLY_WITH_TAGS:
        assert S.encode() in plain
        config.publish(mask_secrets=True)
        with a_callable(tmp_path) as (store, held):
            assert S.encode() not in told(store, held, VECTORS[name])


#: What a plain record does not hold: tags and logs.
ONLY_WITH_TAGS = ("annotation", "annotation's text", "tag", "tag's text", "tag of a container", "baggage")


@pytest.mark.parametrize(
    "text",
    [
        "POST /v3/auth/tokens?nocatalog",
        "SELECT users.id, users.password FROM users WHERE users.id = ?",
        "password=%s, name=?",
        "password: None, has_token=True",
        "http://h:8774/v2.1/servers?owner=a@b",
        "git clone ssh://git@host/repository",
        'File "/usr/lib/python3/keystoneauth1/token_endpoint.py", line 10, in get_token',
        "keystone.auth.token_provider.validate",
        "the key is in the database",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Masker().text(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a=1&token=x&b=2", "a=1&token=***&b=2"),
        ("{'password': 'x', 'name': 'y'}", "{'password': '***', 'name': 'y'}"),
        ("f(password=12, user='x')", "f(password=***, user='x')"),
        ("cmd --password x --name y", "cmd --password *** --name y"),
        ("mysql://nova:x@db/nova", "mysql://nova:***@db/nova"),
        ("<a><password>x</password><b>1</b></a>", "<a><password>***</password><b>1</b></a>"),
        ("SET password='it''s', n='b'", "SET password='***', n='b'"),
    ],
)
def test_what_is_beside_a_secret_stays(text: str, masked: str) -> None:
    assert Masker().text(text) == masked


def test_numbers_and_flags_under_a_secrets_name() -> None:
    given = {"password": 1234, "has_password": True, "token": None, "secret": "", "n": 1}
    assert Masker().mapping(given) == {**given, "password": MASK}
    assert given["password"] == 1234


def test_a_mapping_without_secrets_is_not_copied() -> None:
    given = {"n": 1, "text": "http://controller:8774/v2.1/servers", "list": [1, {"a": "b"}]}
    assert Masker().mapping(given) is given


def test_a_key_is_masked_each_time_it_comes() -> None:
    masker = Masker()
    given = {"n": 1, f"token={S}": 2, "X-Auth-Token of the request": S, f"https://user:{S}@host/path": [S]}
    masked = {"n": 1, "token=***": MASK, "X-Auth-Token of the request": MASK, "https://user:***@host/path": [S]}
    assert [masker.mapping(given) for _ in range(3)] == [masked] * 3


@pytest.mark.parametrize("key", strutils._SANITIZE_KEYS)
def test_what_oslo_utils_masks_is_masked(key: str) -> None:
    masker = Masker()
    assert masker.names.is_secret(key)
    for shape in (
        "{0}={1}",
        "{0} = {1}",
        "{0} = '{1}'",
        '{0} = "{1}"',
        "{0} '{1}'",
        "--{0} {1}",
        "<{0}>{1}</{0}>",
        "'{0}': '{1}'",
        '"{0}" : "{1}"',
        "{{'original_{0}': u'{1}'}}",
        "{0}1 = {1}",
    ):
        for name in (key, key.upper()):
            text = shape.format(name, S)
            assert S not in strutils.mask_password(text), text
            assert S not in masker.text(text), text


_PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@given(before=_PLAIN, secret=_PLAIN, after=_PLAIN, name=st.sampled_from(["password", "X-Auth-Token", "apiKey"]))
@example(before="AUTHORIZATION", secret="", after="", name="password")  # a value that is a secret's name
def test_whatever_stands_in_a_quoted_secret(before: str, secret: str, after: str, name: str) -> None:
    secret = f"{S}{secret}{S}"
    masker = Masker()
    for dump in (json.dumps, repr):
        value = {"before": before, name: secret, "after": after}
        for text in (dump(value), dump({"body": dump(value)}), str(dump(value))[: -len(after) - len(S) - 5]):
            assert S not in masker.text(text), text


_BITS = st.sampled_from([*"'\"\\=:,<>(){}[]&@/ -%\n", "password", "token", "://", "x", "İ"])


@given(bits=st.lists(_BITS, max_size=60))
def test_any_text_can_be_masked(bits: list[str]) -> None:
    text = "".join(bits)
    names = text.count("password") + text.count("token") + text.count("://")
    assert len(Masker().text(text)) <= len(text) + len(MASK) * names


@pytest.mark.parametrize(
    "text",
    [
        *(
            "token ",
            "password='",
            "://",
            "://u:a",
            "eyJ",
            "(password=((",
            "<password ",
            "--token-",
            "pass_-",
            "\\'password\\'",
        )
    ],
)
def test_its_time_grows_as_the_text_does(text: str) -> None:
    masker = Masker()

    def seconds(chars: int) -> float:
        given = (text * chars)[:chars]
        begin = time.process_time()
        masker.text(given)
        return time.process_time() - begin

    ratios = [seconds(32_000) / max(seconds(4_000), 1e-4) for _ in range(5)]
    assert min(ratios) < 32  # 8 where it is linear, 64 where it is the square


def test_further_names_and_patterns() -> None:
    masker = Masker(["Kunden-Nummer", "pin"], [r"\b\d{4}-\d{4}\b", "x+y"])
    assert masker.mapping({"KUNDEN-NUMMER": "17", "pin": 4, "n": 1}) == {"KUNDEN-NUMMER": MASK, "pin": MASK, "n": 1}
    assert masker.text("kunden_nummer=17, card 1234-5678, xxy") == "kunden_nummer=***, card ***, ***"


def test_a_span_that_cannot_be_masked_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError(S)

    monkeypatch.setattr(Masker, "text", broken)
    exporter = Obedient()
    reporter = QueueReporter(exporter, interval_s=0.01)
    Traced(reporter).point("point", {"text": f"a text that nobody has masked before: {S}"})
    assert reporter.flush(30)
    reporter.close()
    (span,) = exporter.taken
    assert span.start_info == {"unmaskable": "RuntimeError"}  # type: ignore[union-attr]
    assert guard.counters["fault.mask"]


def test_what_an_application_gave_is_not_changed() -> None:
    given = {"password": S, "nested": {"token": [S]}}
    told(lambda record: None, lambda: b"the whole", lambda: profiler.start("p", given) or profiler.stop(given))
    assert given == {"password": S, "nested": {"token": [S]}}


def test_a_record_made_by_hand_is_masked(tmp_path: Path) -> None:
    with sqlite_store(tmp_path) as (store, held):
        notify = notifier.create(store, project="p", service="s")
        notify({**records.record(1, "start", 0, password=S), "name": "made-start"})
        assert notify.reporter.flush(60)  # type: ignore[attr-defined]
        everything = held()
    assert b"made-start" in everything
    assert S.encode() not in everything


def test_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "service.conf"
    path.write_text(
        "[profiler]\nenabled = true\npoints =\nconnection_string = jaeger://localhost\nmask_names = pin, code\n"
        "mask_patterns = \\d{2,3}x\nmask_patterns = (broken\nmask_patterns = y+\n"
    )
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf(["--config-file", str(path)])
    initializer.init_from_conf(conf, None, "p", "s", "h")
    settings = config.current()
    assert (settings.mask_secrets, settings.mask_names) == (True, ("pin", "code"))
    assert settings.mask_patterns == (r"\d{2,3}x", "y+")
    assert [each for each in caplog.messages if "mask_patterns" in each and "(broken" in each]
    by = applying.masker()
    assert by is not None
    assert by.text("12x pin=3") == "*** pin=***"
    path.write_text(path.read_text() + "mask_secrets = false\n")
    conf.mutate_config_files()
    assert applying.masker() is None


def test_the_policy_may_turn_it_off_for_some_services() -> None:
    loaded = policy.parse("services: {nova-api: {mask_secrets: false}}")
    assert loaded.of("nova-api") == {"mask_secrets": False}
    assert loaded.of("keystone") == {}


def test_many_keys_with_secrets_are_each_masked_once_or_twice() -> None:
    looks = []

    class Counting(Masker):
        def text(self, value: str) -> str:
            looks.append(value)
            return super().text(value)

    masked = Counting().mapping({f"mysql://nova:secretpw{number}@db{number}/nova": number for number in range(100)})
    assert len(masked) == 100
    assert not any("secretpw" in key for key in masked)
    assert len(looks) <= 200
