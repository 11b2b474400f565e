# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on Elasticsearch 7 and OpenSearch 2."""

import functools

import pytest

from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.testing.drivers import Connect, DriverKit
from tests import servers


class TestElasticsearch(DriverKit):
    @pytest.fixture
    def connect(self, elasticsearch: servers.Elasticsearch) -> Connect:
        return functools.partial(ElasticsearchDriver, elasticsearch.url, index_name=elasticsearch.fresh_name())


class TestOpenSearch(DriverKit):
    @pytest.fixture
    def connect(self, opensearch: servers.OpenSearch) -> Connect:
        return functools.partial(ElasticsearchDriver, opensearch.url, index_name=opensearch.fresh_name())
