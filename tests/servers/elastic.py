# SPDX-License-Identifier: Apache-2.0
"""One node of Elasticsearch 7, of Elasticsearch 8, and of OpenSearch 2."""

import itertools
import json
import signal
import urllib.error
import urllib.request
from typing import Any, ClassVar

from tests.servers import java
from tests.servers.base import Server, free_port

# The machine's proxy settings are not for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Elasticsearch(Server):
    """Elasticsearch 7.17 without security; give each test an index of its own: ``fresh_name()``.

    Its heap has so many *megabytes*. *lives_long*: it works for minutes, and is to be fast then.
    """

    name: ClassVar[str] = "elasticsearch"
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # what was acknowledged is in its log; an end costs seconds
    artifact: ClassVar[str] = "elasticsearch"
    module: ClassVar[str] = ""

    def __init__(self, megabytes: int = 512, *, lives_long: bool = False) -> None:
        super().__init__()
        self._megabytes, self._lives_long = megabytes, lives_long
        self.port = free_port()
        self._transport_port = free_port()
        self._numbers = itertools.count(1)

    @classmethod
    def check(cls) -> None:
        java.folder(cls.artifact)

    @property
    def url(self) -> str:
        """Return the connection string."""
        return f"elasticsearch://127.0.0.1:{self.port}"

    def fresh_name(self) -> str:
        """Return the name of an index that nobody has used."""
        return f"osprofiler-{next(self._numbers)}"

    def get(self, path: str) -> Any:
        """Return the answer to a GET of *path*."""
        with _opener.open(f"http://127.0.0.1:{self.port}/{path}", timeout=30) as answer:
            return json.load(answer)

    def _command(self) -> list[str]:
        return java.command(
            self.artifact,
            str(self.data / "node"),
            str(self.port),
            str(self._transport_port),
            megabytes=self._megabytes,
            module=self.module,
            lives_long=self._lives_long,
        )

    def _answers(self) -> bool:
        try:
            return self.get("_cluster/health")["status"] in {"green", "yellow"}
        except (urllib.error.HTTPError, ValueError):
            return False


class Elasticsearch8(Elasticsearch):
    """Elasticsearch 8.15 without security."""

    name: ClassVar[str] = "elasticsearch8"
    artifact: ClassVar[str] = "elasticsearch8"
    module: ClassVar[str] = "org.elasticsearch.server"


class OpenSearch(Elasticsearch):
    """OpenSearch 2.19 without security."""

    name: ClassVar[str] = "opensearch"
    artifact: ClassVar[str] = "opensearch"
