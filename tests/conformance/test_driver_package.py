# SPDX-License-Identifier: Apache-2.0
"""A driver of another package: one file and one entry point, and the shipped kit passes."""

from pathlib import Path

from tests.conformance.distribution import run_its_tests

_DRIVER = '''
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from osprofiler.drivers.base import Can, Driver, Option, StoreUnavailable


class Shelf(Driver):
    """``shelf:///path?sync=yes``: a file with a record a line."""

    can = frozenset({Can.WRITE, Can.WRITE_BATCH, Can.READ, Can.READ_RECORDS, Can.LIST})
    connection_options = (Option("sync", "yes|no", "wait for the disk"),)

    def __init__(self, connection_str, **kwargs):
        super().__init__(connection_str, **kwargs)
        self.path = Path(urlsplit(connection_str).path)

    def notify(self, info, **kwargs):
        self.write([info])

    def write(self, records):
        lines = "".join(json.dumps(self.labelled(record)) + "\\n" for record in records)
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except OSError as error:
            raise StoreUnavailable(str(error)) from error
        os.write(file, lines.encode())
        os.close(file)

    def _records(self):
        if not self.path.exists():
            return []
        return sorted(map(json.loads, self.path.read_text().splitlines()), key=lambda record: record["timestamp"])

    def read(self, base_id):
        return [record for record in self._records() if record["base_id"] == base_id]

    def list_traces(self, fields=None):
        first = {}
        for record in self._records():
            first.setdefault(record["base_id"], record)
        wanted = fields or self.default_trace_fields
        return [{key: value for key, value in record.items() if key in wanted} for record in first.values()]
'''

_TESTS = """
import functools

import pytest

from osprofiler.drivers import base
from osprofiler.testing.drivers import DriverKit
from shelf import Shelf


class TestShelf(DriverKit):
    title = "A shelf"
    driver_class = Shelf

    @pytest.fixture
    def connect(self, tmp_path):
        return functools.partial(base.get_driver, f"shelf://{tmp_path}/records")

    @pytest.fixture
    def forgetful(self, tmp_path):
        return functools.partial(base.get_driver, f"shelf://{tmp_path}/records?ttl=2")
"""


def test_a_driver_is_one_file_and_one_entry(tmp_path: Path) -> None:
    run_its_tests(tmp_path, "shelf", _DRIVER, _TESTS, "osprofiler.drivers", "shelf = shelf:Shelf")
