# SPDX-License-Identifier: Apache-2.0
"""A format, a driver, an execution model and an HTTP client of another distribution: one file and one entry each.

The distribution is made in a temporary folder. The shipped kits run on it in their own process.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conformance.distribution import run_its_tests


class Extension(NamedTuple):
    """One extension: its only file, its only entry point, and the test module of its author."""

    group: str
    entry: str
    file: str
    tests: str


FORMAT = Extension(
    "osprofiler.propagators",
    "acme = acme",
    '''
    """A wire format: trace, span and flags in one field."""

    import re

    from osprofiler.propagation.formats import Malformed, Remote

    FIELD = "x-acme-trace"
    SHAPE = re.compile(r"([0-9a-f]{32})/([0-9a-f]{16})/([0-9a-f]{2})", re.A)

    def encode(context):
        return {FIELD: f"{context.trace_id:032x}/{context.span_id:016x}/{context.flags:02x}"}

    def decode(fields):
        text = fields.get(FIELD)
        if text is None:
            return None
        match = SHAPE.fullmatch(text)
        ids = [int(part, 16) for part in match.groups()] if match else [0, 0, 0]
        if not (ids[0] and ids[1]):
            raise Malformed(f"not an {FIELD}")
        return Remote(*ids)
    ''',
    """
    import pytest
    from osprofiler import initializer, opts
    from osprofiler.testing.propagators import FormatKit
    from oslo_config import cfg

    class TestAcme(FormatKit):
        @pytest.fixture
        def name(self):
            return "acme"

    def test_the_option_takes_it(tmp_path):
        from osprofiler import config
        conf = cfg.ConfigOpts()
        opts.set_defaults(conf, enabled=True, hmac_keys="key", connection_string=f"sqlite:///{tmp_path}/traces.db")
        conf([])
        conf.set_override("propagation", ["osprofiler", "acme", "unknown"], "profiler")
        initializer.init_from_conf(conf, None, "acme", "test", "host")
        assert config.current().propagation == ("osprofiler", "acme")
    """,
)

DRIVER = Extension(
    "osprofiler.drivers",
    "acme = acme:Acme",
    '''
    """A store: a file of records, one JSON text a line."""

    import contextlib
    import fcntl
    import json
    from urllib.parse import urlsplit

    from osprofiler.drivers.base import Can, Driver, Option, StoreUnavailable
    from osprofiler.records.error_kind import error_kind

    class Acme(Driver):
        can = frozenset(Can) - {Can.LIST_SERVICES, Can.SEARCH}
        connection_options = (Option("sync", "yes|no", "wait for the disk"),)

        def __init__(self, connection_str, **kwargs):
            super().__init__(connection_str, **kwargs)
            self.path = urlsplit(connection_str).path

        @classmethod
        def get_name(cls):
            return "acme"

        @contextlib.contextmanager
        def _locked(self):
            try:
                file = open(self.path, "a+", encoding="ascii")
            except OSError as error:
                raise StoreUnavailable(str(error)) from error
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file

        def _records(self):
            with self._locked() as file:
                file.seek(0)
                return sorted(map(json.loads, file), key=lambda record: record["timestamp"])

        def notify(self, info, **kwargs):
            self.write([info])

        def write(self, records):
            with self._locked() as file:
                file.write("".join(json.dumps(self.labelled(record)) + "\\n" for record in records))

        def read(self, base_id):
            return [record for record in self._records() if record["base_id"] == base_id]

        def _listed(self, records, fields):
            first = {}
            for record in records:
                first.setdefault(record["base_id"], record)
            return [{key: record.get(key) for key in fields} for record in first.values()]

        def list_traces(self, fields=None):
            return self._listed(self._records(), fields or self.default_trace_fields)

        def list_error_traces(self):
            failed = (record for record in self._records() if error_kind(record["info"]))
            return self._listed(failed, self.default_trace_fields)

        def delete(self, base_id):
            with self._locked() as file:
                file.seek(0)
                lines = file.readlines()
                others = [line for line in lines if json.loads(line)["base_id"] != base_id]
                file.truncate(0)
                file.writelines(others)
                return len(lines) - len(others)
    ''',
    """
    import functools
    import pytest
    from osprofiler.drivers import base
    from osprofiler.testing.drivers import DriverKit

    class TestAcme(DriverKit):
        @pytest.fixture
        def connect(self, tmp_path):
            return functools.partial(base.get_driver, f"acme://{tmp_path}/traces")

        @pytest.fixture
        def forgetful(self, tmp_path):
            return functools.partial(base.get_driver, f"acme://{tmp_path}/traces?ttl=2")
    """,
)

MODEL = Extension(
    "osprofiler.instrumentations",
    "acme = acme",
    '''
    """A pool with one queue, and its instrumentation: what is submitted while a trace is on becomes a branch."""

    import queue
    import threading

    from osprofiler._runtime.wrapping import Target, Wrapping
    from osprofiler.concurrency.fork import hand_over

    class Pool:
        def __init__(self):
            self._queue = queue.Queue()
            self._workers = [threading.Thread(target=self._serve) for _ in range(4)]
            for worker in self._workers:
                worker.start()

        def submit(self, work):
            self._queue.put(work)

        def _serve(self):
            while (work := self._queue.get()) is not None:
                try:
                    work()
                except Exception:
                    pass
                finally:
                    self._queue.task_done()

        def wait(self):
            self._queue.join()

        def close(self):
            for _ in self._workers:
                self._queue.put(None)
            for worker in self._workers:
                worker.join()

    def _submit(original):
        def submit(self, work):
            return original(self, hand_over("acme", work))

        return submit

    _wrapping = Wrapping(Target("acme", "Pool", "submit", _submit))
    instrument = _wrapping.install
    uninstrument = _wrapping.uninstall
    ''',
    """
    import pytest
    import acme
    from osprofiler.concurrency import isolation
    from osprofiler.context import scope
    from osprofiler.testing.concurrency import GUARANTEES, Model, check_in_own_process

    class AcmePool(Model):
        title = "acme.Pool.submit"
        instrumentation = ("acme",)
        pool = None

        def run(self, works):
            if self.pool is None:
                with scope.entered(None):  # the workers outlive the request that happens to come first
                    self.pool = acme.Pool()
            self.mark()
            for work in works:
                self.pool.submit(work)
            self.pool.wait()

        def run_inside(self, works):
            inner = type(self)()
            try:
                inner.run(works)
            finally:
                inner.close()

        def close(self):
            if self.pool is not None:
                self.pool.close()
                self.pool = None

    @pytest.fixture(scope="module")
    def outcomes():
        return check_in_own_process("test_acme:AcmePool")

    @pytest.mark.parametrize("guarantee", GUARANTEES)
    def test_acme(guarantee, outcomes):
        assert outcomes[guarantee] in ("ok", "not applicable"), outcomes[guarantee]

    def test_an_unknown_name_is_refused():
        from osprofiler.instrumentation import registry
        with pytest.raises(ValueError, match="unknown name 'nobody'"):
            registry.instrument("nobody")
    """,
)

HTTP_CLIENT = Extension(
    "osprofiler.instrumentations",
    "acme = acme",
    '''
    """An HTTP client, and its instrumentation: an adapter of the handler of HTTP clients."""

    import http.client
    from urllib.parse import urlsplit

    from osprofiler._runtime.wrapping import Target, Wrapping
    from osprofiler.context import current
    from osprofiler.handlers import http_client

    class Client:
        def send(self, url, headers):
            parts = urlsplit(url)
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
            try:
                connection.request("GET", parts._replace(scheme="", netloc="").geturl(), headers=headers)
                return connection.getresponse().status
            finally:
                connection.close()

    class Acme:
        name = component = "acme"

        def request(self, outgoing):
            url = urlsplit(outgoing[0])
            return http_client.Request("http", "GET", url, {}, {"peer.hostname": url.hostname}, "http GET")

        def with_headers(self, outgoing, headers):
            return outgoing[0], {**outgoing[1], **headers}

        def response(self, answer):
            return http_client.Response(answer, {}, {})

    def _send(original):
        def send(self, url, headers):
            here = current.point.get()
            if here is None:
                return original(self, url, headers)
            return http_client.exchange(Acme(), here, (url, headers), lambda outgoing: original(self, *outgoing))

        return send

    _wrapping = Wrapping(Target("acme", "Client", "send", _send))
    instrument = _wrapping.install
    uninstrument = _wrapping.uninstall
    ''',
    """
    import pytest
    import acme
    from osprofiler.instrumentation import registry
    from osprofiler.testing.http_clients import HttpClientKit

    class AcmeClient:
        def instrument(self):
            registry.instrument("acme")

        def uninstrument(self):
            registry.uninstrument("acme")

        def get(self, url, headers):
            return acme.Client().send(url, headers)

        def original(self):
            return acme.Client.send

    class TestAcme(HttpClientKit):
        @pytest.fixture
        def client(self):
            return AcmeClient()
    """,
)

EXTENSIONS = {"format": FORMAT, "driver": DRIVER, "execution model": MODEL, "HTTP client": HTTP_CLIENT}


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_an_extension_is_one_file_and_one_entry(kind: str, tmp_path: Path) -> None:
    extension = EXTENSIONS[kind]
    run_its_tests(tmp_path, "acme", extension.file, extension.tests, extension.group, extension.entry)
