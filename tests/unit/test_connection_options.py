# SPDX-License-Identifier: Apache-2.0
"""The options of a connection string: one check for readers and writers, and those of TLS on real servers."""

import contextlib
import gzip
import http.server
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from osprofiler import notifier
from osprofiler.cmd import shell
from osprofiler.connection.access import Access
from osprofiler.delivery.exporter import Transient
from osprofiler.delivery.queue import Recorded
from osprofiler.drivers import base, connect
from osprofiler.drivers.errors import StoreError
from osprofiler.testing.records import TRACE, two_spans

UNKNOWN = [
    "jaeger://h?tll=7d",
    "jaeger+http://h?tll=7d",
    "otlps://h?tll=7d",
    "redis://h?tll=7d",
    "redis://h?ssl_ca_certs=/x",  # rediss:// has it
    "redissentinel://h?tll=7d",
    "mongodb://h/?tll=7d",
    "mongodb+srv://h.example/?tll=7d",
    "elasticsearch://h?tll=7d",
    "loginsight://u:p@h?tll=7d",
    "messaging://?tll=7d",
    "sqlite:////tmp/x.db?tll=7d",
    "mysql+pymysql://h/db?tll=7d",
    "postgresql+psycopg://h/db?tll=7d",
]
USELESS = [
    "jaeger+http://h?ca_certs=/x",
    "otlp://h?verify=no",
    "elasticsearch://h?certfile=/x",
    "otlps://h?keyfile=/x",
    "otlps://h?ca_certs=/x&verify=no",
    "jaeger+https://u:p@h?token=t",
    "jaeger+https://h?token=a%20b",
    "jaeger://h?query=http://u:p@h&query_token=t",
    "jaeger://h?query=ftp://h",
    "jaeger+https://h?verify=perhaps",
]
TAKEN = [
    "jaeger+https://h?verify=no&query=http://ui:16686",
    "jaeger://h?query=https://ui&ca_certs=/x&query_token=t",
    "otlps://h?ca_certs=/x&certfile=/c&keyfile=/k&token=t",
    "redis://h?ttl=7d&socket_timeout=5",
    "rediss://h?ssl_ca_certs=/x",
    "mongodb://h/?tls=true&ttl=7d",
    "mongodb+srv://h.example/?tls=true",
    "opensearch+https://h?ca_certs=/x&certfile=/c&token=t",
    "loginsight://u:p@h?certfile=/c",
    "messaging://?plain=yes",
    "sqlite:////tmp/x.db?timeout=5",
    "mysql+pymysql://h/db?charset=utf8mb4&read_timeout=600&ssl_ca=/x",
    "postgresql+psycopg://h/db?sslmode=require&application_name=x&autocommit=true",
]


@pytest.mark.parametrize("connection_string", [*UNKNOWN, *USELESS])
def test_what_a_store_does_not_have_is_one_line_for_reader_and_service(
    connection_string: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notifier.create(connection_string) is notifier._noop_notifier
    (logged,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert shell.main(["trace", "list", "--connection-string", connection_string]) == 2
    shown = capsys.readouterr().err
    assert shown.removeprefix("osprofiler: ").strip() == logged.removeprefix("osprofiler is off: ")
    assert len(shown.splitlines()) == 1
    if connection_string in UNKNOWN:
        assert "tll" in shown or "ssl_ca_certs" in shown


@pytest.mark.parametrize("connection_string", TAKEN)
def test_what_a_store_has_is_taken_by_both(connection_string: str) -> None:
    assert base.get_driver(connection_string).connection_str == connection_string
    assert isinstance(notifier.create(connection_string), notifier.StoreNotifier)
    notifier.clear_notifier_cache()


# TLS


class Certificates:
    """The certificates of the server and of a client, both self-signed."""

    def __init__(self, folder: Path) -> None:
        self.server = self._make(folder, "server")
        self.client = self._make(folder, "client")

    @staticmethod
    def _make(folder: Path, name: str) -> tuple[str, str]:
        certificate, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        whose = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", *kind, *whose, "-keyout", key, "-out", certificate]
        subprocess.run(command, check=True, capture_output=True)
        return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Server:
    """Takes spans and answers queries over TLS. If it asks for a certificate, it accepts only the client's."""

    def __init__(self, certificates: Certificates, *, asks: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(body, b"")

            def do_GET(self) -> None:
                self._answer(b"", json.dumps({"data": []}).encode())

            def _answer(self, received: bytes, content: bytes) -> None:
                server.requests.append((self.path, dict(self.headers), received))
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """The other side may break off the handshake."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates.server)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.client[0])
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port

    @contextlib.contextmanager
    def serving(self) -> "Iterator[Server]":
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    with Server(certificates).serving() as made:
        yield made


@pytest.fixture
def asking(certificates: Certificates) -> Iterator[Server]:
    with Server(certificates, asks=True).serving() as made:
        yield made


TRANSPORTS = pytest.mark.parametrize("scheme", ["jaeger+https", "otlps"])


def send(connection_string: str) -> None:
    exporter = connect.span_exporter(connection_string)
    assert exporter is not None
    outcome = exporter.export([Recorded(each, 0) for each in two_spans()], time.monotonic() + 30)
    assert outcome.delivered == 2


def list_by(connection_string: str) -> None:
    assert base.get_driver(connection_string).list_traces() == []


@TRANSPORTS
def test_the_servers_certificate_is_checked(scheme: str, server: Server, certificates: Certificates) -> None:
    url = f"{scheme}://127.0.0.1:{server.port}"
    with pytest.raises(Transient, match="certificate verify failed"):
        send(url)
    send(f"{url}?ca_certs={certificates.server[0]}")
    send(f"{url}?verify=no")
    assert len(server.requests) == 2


def test_the_query_services_certificate_is_checked(server: Server, certificates: Certificates) -> None:
    url = f"jaeger://127.0.0.1?query=https://127.0.0.1:{server.port}"
    with pytest.raises(StoreError, match="certificate verify failed"):
        list_by(url)
    list_by(f"{url}&ca_certs={certificates.server[0]}")
    list_by(f"{url}&verify=no")
    assert len(server.requests) == 2


@TRANSPORTS
def test_the_clients_certificate_is_shown(scheme: str, asking: Server, certificates: Certificates) -> None:
    certificate, key = certificates.client
    url = f"{scheme}://127.0.0.1:{asking.port}?query=https://127.0.0.1:{asking.port}&ca_certs={certificates.server[0]}"
    with pytest.raises(Transient):
        send(url)
    with pytest.raises(StoreError):
        list_by(url)
    url += f"&certfile={certificate}&keyfile={key}"
    send(url)
    list_by(url)
    assert len(asking.requests) == 2


def test_stores_that_speak_http_show_the_clients_certificate(asking: Server, certificates: Certificates) -> None:
    certificate, key = certificates.client
    url = f"opensearch+https://127.0.0.1:{asking.port}?ca_certs={certificates.server[0]}"
    with pytest.raises(StoreError):
        base.get_driver(url).read(TRACE)
    with contextlib.suppress(Exception):  # it is no OpenSearch that answers
        base.get_driver(f"{url}&certfile={certificate}&keyfile={key}&token=abc").read(TRACE)
    assert asking.requests[0][1]["Authorization"] == "Bearer abc"


@TRANSPORTS
def test_the_token_is_sent_and_not_told(
    scheme: str, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = f"{scheme}://127.0.0.1:{server.port}?verify=no&token=my-token&query=https://127.0.0.1:{server.port}"
    send(url)
    list_by(url)
    assert [headers["Authorization"] for _, headers, _ in server.requests] == ["Bearer my-token"] * 2
    exporter: Any = connect.span_exporter(url)
    assert "my-token" not in exporter.target
    assert "my-token" not in repr(exporter._collector._access)


def test_a_token_goes_to_its_host_alone(server: Server) -> None:
    elsewhere = f"otlps://vendor.example?verify=no&token=my-token&query=https://127.0.0.1:{server.port}"
    list_by(elsewhere)
    list_by(f"{elsewhere}&query_token=other-token")
    assert [headers.get("Authorization") for _, headers, _ in server.requests] == [None, "Bearer other-token"]


# OpenTelemetry's variables


def test_a_header_that_requests_refuses_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=my-key%0Ax")
    with pytest.raises(Transient, match=r"InvalidHeader: .*\*\*\*") as caught:
        send("otlp://127.0.0.1:1")
    assert "my-key" not in str(caught.value)


@pytest.mark.parametrize("kind", ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"])
def test_opentelemetrys_variables_count(
    kind: str, asking: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certificates.client
    given = {
        "CERTIFICATE": certificates.server[0],
        "CLIENT_CERTIFICATE": certificate,
        "CLIENT_KEY": key,
        "COMPRESSION": "gzip",
        "HEADERS": "api-key=abc",
    }
    for name, text in given.items():
        monkeypatch.setenv(kind + name, text)
    send(f"otlps://127.0.0.1:{asking.port}")
    ((_, headers, body),) = asking.requests
    assert (headers["Content-Encoding"], headers["api-key"]) == ("gzip", "abc")
    (of_process,) = ExportTraceServiceRequest.FromString(gzip.decompress(body)).resource_spans
    assert len(of_process.scope_spans[0].spans) == 2


def test_the_connection_string_wins(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", certificates.client[0])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20other")
    url = f"otlps://127.0.0.1:{server.port}"
    own = f"certfile={certificates.client[0]}&keyfile={certificates.client[1]}&token=mine"
    send(f"{url}?ca_certs={certificates.server[0]}&{own}")
    send(f"{url}?verify=no&{own}")
    assert {headers["Authorization"] for _, headers, _ in server.requests} == {"Bearer mine"}
    send_in_the_clear: Any = connect.span_exporter("otlp://127.0.0.1:1")
    assert send_in_the_clear._collector._access == Access()


def test_the_time_out_is_opentelemetrys_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2500")
    exporter: Any = connect.span_exporter("otlp://h")
    deadlines: list[float] = []
    monkeypatch.setattr(exporter._collector, "post", lambda _, deadline: deadlines.append(deadline) or b"")
    before = time.monotonic()
    for deadline in (before + 60, before + 1):
        exporter.export([Recorded(each, 0) for each in two_spans()], deadline)
    assert before + 2.5 <= deadlines[0] < before + 60
    assert deadlines[1] == before + 1


@pytest.mark.parametrize(("name", "text"), [("TIMEOUT", "soon"), ("TIMEOUT", "0"), ("COMPRESSION", "zstd")])
def test_a_variable_that_makes_no_sense_is_ignored_with_a_line(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from osprofiler._runtime import guard

    guard._last_logged.clear()
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", text)
    assert connect.span_exporter("otlp://h") is not None
    assert f"{name}={text} is ignored" in caplog.text
