# SPDX-License-Identifier: Apache-2.0
"""A Jaeger whose receivers and query service use TLS, and require a client certificate."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from osprofiler.drivers import base
from osprofiler.drivers.errors import StoreError
from osprofiler.testing.records import two_spans
from tests.conftest import own
from tests.servers.certificate import make_certificate
from tests.servers.jaeger import Jaeger
from tests.waiting import wait_until


class JaegerOverTLS(Jaeger):
    """One certificate for the server and its clients."""

    def __init__(self) -> None:
        super().__init__()
        self.certificate, self.key = self.data / "tls.pem", self.data / "tls.key"

    def _prepare(self) -> None:
        make_certificate(self, self.certificate, self.key)
        super()._prepare()

    def _answers(self) -> bool:
        self._get(f"http://127.0.0.1:{self._health_port}/status")
        return True

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        receivers = configuration["receivers"]
        for place in (
            configuration["extensions"]["jaeger_query"]["http"],
            receivers["otlp"]["protocols"]["http"],
            receivers["jaeger"]["protocols"]["thrift_http"],
        ):
            place["tls"] = {
                "cert_file": str(self.certificate),
                "key_file": str(self.key),
                "client_ca_file": str(self.certificate),
            }
        return configuration


@pytest.fixture(scope="module")
def jaeger_over_tls() -> Iterator[JaegerOverTLS]:
    with own(JaegerOverTLS) as server:
        yield server


@pytest.mark.server
@pytest.mark.parametrize("scheme", ["jaeger+https", "otlps"])
def test_spans_are_written_and_read_over_tls(scheme: str, jaeger_over_tls: JaegerOverTLS) -> None:
    server = jaeger_over_tls
    trace = str(uuid.uuid4())
    port = {"jaeger+https": server.http_port, "otlps": server.otlp_http_port}[scheme]
    url = f"{scheme}://127.0.0.1:{port}?query=https://127.0.0.1:{server.query_port}"
    trusting = f"{url}&ca_certs={server.certificate}"
    for stranger in (url, trusting):
        with pytest.raises(base.StoreUnavailable):
            base.get_driver(stranger).write(two_spans(trace))
        with pytest.raises(StoreError):
            base.get_driver(stranger).read(trace)
    driver = base.get_driver(f"{trusting}&certfile={server.certificate}&keyfile={server.key}")
    driver.write(two_spans(trace))

    wait_until(lambda: len(driver.read(trace)) == 4, 30, "the trace")
