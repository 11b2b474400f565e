# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on Elasticsearch 7 and 8 without TLS, and on OpenSearch 2 behind a proxy with TLS and an account."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Driver
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.records.record import timestamp
from osprofiler.testing.drivers import WRONG_PASSWORD, Connect, OwnServer, Plant, Refuse, ServerKit
from osprofiler.testing.records import T0_US, record, two_spans, wrong_records
from tests import servers
from tests.servers.gate import ACCOUNT, gate

_WRONG_ACCOUNT = f"osp:{WRONG_PASSWORD}"


@pytest.fixture
def certificate(redis: servers.Redis) -> Path:
    """The certificate of 127.0.0.1. Its key is in the same folder."""
    return redis.certificate


class ElasticKit(ServerKit):
    """The common part for these servers."""

    driver_class: ClassVar[type[Driver]] = ElasticsearchDriver
    refuses: ClassVar[bool] = True
    takes_garbage: ClassVar[bool] = True

    @pytest.fixture
    def plant(self, driver: ElasticsearchDriver) -> Plant:
        driver.index_name_error = f"{driver.index_name}-error"  # the default index has marks of other tests

        def planted() -> int:
            # Our index takes only valid time stamps.
            wrong = [each for each in wrong_records() if each.get("timestamp") != "yesterday"]
            wrong += [{"timestamp": timestamp(T0_US)}, {**record(9, "start", 0), "info": {"deep": _nested(500)}}]
            assert not driver._http.bulk(driver.index_name, wrong)
            return len(wrong)

        return planted

    @pytest.fixture
    def refuse(self) -> Refuse:
        """The index refuses an invalid time stamp."""
        return lambda: [*two_spans(), {**record(9, "start", 1), "timestamp": "yesterday"}]


def _nested(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


class TestElasticsearch(ElasticKit):
    title: ClassVar[str] = "Elasticsearch 7"

    @pytest.fixture
    def connect(self, elasticsearch: servers.Elasticsearch) -> Connect:
        return functools.partial(ElasticsearchDriver, elasticsearch.url, index_name=elasticsearch.fresh_name())

    @pytest.fixture
    def forgetful(self, elasticsearch: servers.Elasticsearch) -> Connect:
        return functools.partial(ElasticsearchDriver, f"{elasticsearch.url}?ttl=2")

    @pytest.fixture
    def own_server(self, elasticsearch: servers.Elasticsearch, connect: Connect) -> OwnServer:
        return OwnServer(connect, elasticsearch.stop, elasticsearch.start)

    @pytest.fixture
    def denied(self, elasticsearch: servers.Elasticsearch, certificate: Path) -> Iterator[Driver]:
        with gate(elasticsearch.port, certificate, certificate.with_name("key.pem")) as port:
            place = f"elasticsearch+https://{_WRONG_ACCOUNT}@127.0.0.1:{port}"
            yield ElasticsearchDriver(f"{place}?ca_certs={certificate}")

    @pytest.fixture
    def absent(self) -> Driver:
        return ElasticsearchDriver(f"elasticsearch://{_WRONG_ACCOUNT}@127.0.0.1:{servers.free_port()}")


class TestElasticsearch8(TestElasticsearch):
    title: ClassVar[str] = "Elasticsearch 8"

    @pytest.fixture
    def elasticsearch(self, elasticsearch8: servers.Elasticsearch8) -> servers.Elasticsearch8:
        return elasticsearch8


class TestOpenSearchOverTLS(ElasticKit):
    title: ClassVar[str] = "OpenSearch 2 over TLS"

    @pytest.fixture
    def port(self, opensearch: servers.OpenSearch, certificate: Path) -> Iterator[int]:
        """The address of the proxy."""
        with gate(opensearch.port, certificate, certificate.with_name("key.pem")) as port:
            yield port

    @pytest.fixture
    def connect(self, opensearch: servers.OpenSearch, certificate: Path, port: int) -> Connect:
        url = f"opensearch+https://{ACCOUNT}@127.0.0.1:{port}?ca_certs={certificate}"
        return functools.partial(ElasticsearchDriver, url, index_name=opensearch.fresh_name())

    @pytest.fixture
    def forgetful(self) -> Connect:
        return functools.partial(ElasticsearchDriver, "opensearch+https://127.0.0.1?ttl=2")

    @pytest.fixture
    def own_server(self, opensearch: servers.OpenSearch, connect: Connect) -> OwnServer:
        return OwnServer(connect, opensearch.stop, opensearch.start)

    @pytest.fixture
    def denied(self, certificate: Path, port: int) -> Driver:
        return ElasticsearchDriver(f"opensearch+https://{_WRONG_ACCOUNT}@127.0.0.1:{port}?ca_certs={certificate}")

    @pytest.fixture
    def absent(self) -> Driver:
        return ElasticsearchDriver(f"opensearch+https://{_WRONG_ACCOUNT}@127.0.0.1:{servers.free_port()}")
